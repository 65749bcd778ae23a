"""Accounts over real gRPC."""

import datetime

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2

from filmgate.auth.v1 import accounts_pb2
from filmgate.auth.v1.accounts_pb2_grpc import AccountsStub
from tests.support import rpc
from tests.support.auth import ADDRESS, BORN, EMAIL, PHONE


async def test_registration_makes_account_organisation_project_and_session(auth):
    flow, code = await auth.code()
    request = accounts_pb2.RegisterRequest(flow_id=flow, code=code, birth_date=BORN, display_name="Bob", locale="en")
    made = await auth.accounts.Register(request, metadata=ADDRESS)
    assert made.account.id.startswith("acc_")
    assert made.account.masked_phone == "+86*********00"
    print(made)
