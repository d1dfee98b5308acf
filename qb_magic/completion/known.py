"""the names of a project, from its files alone"""

from __future__ import annotations

from qb_engine.commands import Session
from qb_engine.project import Project
from qb_magic.catalogue import Catalogue
from qb_magic.completion.offer import Known


def gather(session: Session, catalogue: Catalogue) -> Known:
    """What completion may offer now; reads file names, never a server.

    Raise InputError when qb.toml is broken.
    """
    return Known(
        migrations=migration_names(session.project),
        drafts=draft_names(session.project),
        targets=(*session.project.config.aliases, "embedded"),
        catalogue=catalogue,
    )


def migration_names(project: Project) -> tuple[str, ...]:
    """Migrations by their short names, newest first; by id where a name stands twice."""
    from qb_engine.migrations.stamps import split

    if not project.migrations.is_dir():
        return ()
    found = [
        (path.name if path.is_dir() else path.stem, path) for path in project.migrations.iterdir()
    ]
    stems = sorted((stem for stem, path in found if split(stem)), reverse=True)
    names = [(split(stem) or ("", stem))[1] for stem in stems]
    return tuple(
        name if names.count(name) == 1 and name else stem for stem, name in zip(stems, names)
    )


def draft_names(project: Project) -> tuple[str, ...]:
    """The drafts that wait in qb's own folder."""
    folder = project.root / ".qb" / "drafts"
    if not folder.is_dir():
        return ()
    return tuple(sorted({path.name.split(".")[0] for path in folder.iterdir()}))
