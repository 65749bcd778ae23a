"""The servicer of Organizations."""

from typing import Any

from filmgate.auth.v1 import organizations_pb2, organizations_pb2_grpc
from services.auth.organizations import store
from services.auth.organizations.tables import Organization, Project
from services.runtime import caller, pages
from services.runtime.caller import CALLER
from services.runtime.database import Database
from services.runtime.errors import NOT_FOUND
from services.runtime.server import ServiceRegistration

ACCESS = {"GetOrganization": CALLER("account"), "ListProjects": CALLER("account")}


def organization_message(row: Organization) -> organizations_pb2.Organization:
    """Write an organization."""
    return organizations_pb2.Organization(
        name=f"organizations/{row.id}",
        id=row.id,
        display_name=row.display_name or "",
        personal=row.personal,
        create_time=row.create_time,
    )


def project_message(row: Project) -> organizations_pb2.Project:
    """Write a project."""
    return organizations_pb2.Project(
        name=f"projects/{row.id}", id=row.id, display_name=row.display_name or "", create_time=row.create_time
    )


class Organizations(organizations_pb2_grpc.OrganizationsServicer):
    """Shows the caller's organization and its projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def registration(self) -> ServiceRegistration:
        """Return how the server takes this service in."""
        service = organizations_pb2.DESCRIPTOR.services_by_name["Organizations"]
        return ServiceRegistration(service, organizations_pb2_grpc.add_OrganizationsServicer_to_server, self, ACCESS)

    async def GetOrganization(
        self, _request: organizations_pb2.GetOrganizationRequest, _context: Any
    ) -> organizations_pb2.Organization:
        """Return the caller's organization."""
        mine = caller.current().organization
        async with self._database.transaction() as session:
            row = await store.organization(session, mine)
        if row is None:
            raise NOT_FOUND(resource=f"organization {mine}")
        return organization_message(row)

    async def ListProjects(
        self, request: organizations_pb2.ListProjectsRequest, _context: Any
    ) -> organizations_pb2.ListProjectsResponse:
        """List the projects of the caller's organization."""
        page = pages.page(request)
        async with self._database.transaction() as session:
            rows = await store.projects_of(session, caller.current().organization, page)
        kept, token = page.cut(rows, request, lambda row: (row.create_time, row.id))
        return organizations_pb2.ListProjectsResponse(
            projects=[project_message(row) for row in kept], next_page_token=token
        )
