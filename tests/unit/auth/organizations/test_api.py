"""Organizations over real gRPC."""

from filmgate.auth.v1 import organizations_pb2, organizations_pb2_grpc
from services.auth.organizations import store
from tests.support import rpc
from tests.support.auth import EMAIL, PHONE

Get, List = organizations_pb2.GetOrganizationRequest, organizations_pb2.ListProjectsRequest


async def test_everybody_sees_his_own_organization_and_projects(auth):
    stub = auth.stub(organizations_pb2_grpc.OrganizationsStub)
    for person in (await auth.register(PHONE), await auth.register(EMAIL)):
        found = await stub.GetOrganization(Get(), metadata=person.metadata())
        assert (found.id, found.name, found.personal) == (person.organization, f"organizations/{found.id}", True)
        listed = await stub.ListProjects(List(), metadata=person.metadata())
        assert [(row.id, row.name) for row in listed.projects] == [(person.project, f"projects/{person.project}")]


async def test_projects_come_in_pages(auth):
    person = await auth.register()
    async with auth.database.transaction() as session:
        _, other = await store.add_personal(session, auth.clock.now())
        other.organization = person.organization
    stub = auth.stub(organizations_pb2_grpc.OrganizationsStub)
    first = await stub.ListProjects(List(page_size=1), metadata=person.metadata())
    token = first.next_page_token
    rest = await stub.ListProjects(List(page_size=1, page_token=token), metadata=person.metadata())
    assert {first.projects[0].id, rest.projects[0].id} == {person.project, other.id}
    assert not rest.next_page_token


async def test_an_organization_that_is_gone_is_not_found(auth):
    person = await auth.register()
    stub = auth.stub(organizations_pb2_grpc.OrganizationsStub)
    async with rpc.refused(reason="NOT_FOUND"):
        await stub.GetOrganization(Get(), metadata=person.metadata(organization="org_x"))
    async with rpc.refused(reason="SCOPE_MISSING"):
        await stub.ListProjects(List(), metadata=person.metadata(scopes=["keys"]))
