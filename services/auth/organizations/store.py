"""All SQL of organizations and projects."""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from services.auth.organizations.tables import Organization, Project
from services.runtime import ids
from services.runtime.pages import Page


async def add_personal(session: AsyncSession, now: datetime.datetime) -> tuple[Organization, Project]:
    """Make a personal organization with one project."""
    organization = Organization(id=ids.new("org"), personal=True, create_time=now)
    session.add(organization)
    await session.flush()
    project = Project(id=ids.new("prj"), organization=organization.id, create_time=now)
    session.add(project)
    await session.flush()
    return organization, project


async def organization(session: AsyncSession, organization_id: str) -> Organization | None:
    """Return an organization."""
    return await session.get(Organization, organization_id)


async def projects_of(session: AsyncSession, organization_id: str, page: Page) -> Sequence[Project]:
    """Return a page of an organization's projects, newest first."""
    query = sa.select(Project).where(Project.organization == organization_id)
    return (await session.scalars(page.of(query, Project.create_time, Project.id))).all()
