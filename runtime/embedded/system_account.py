"""The unprivileged account that PostgreSQL runs under when the daemon is root, and its reach."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

# The daemon's own account (deploy/orchestrator.service), PostgreSQL's of the distribution's
# packages, and the one that is always there.
PREFERRED_NAMES = ("orchestrator", "postgres", "nobody")


class PopenArguments(TypedDict, total=False):
    """The part of ``subprocess.Popen``'s arguments that changes the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class SystemAccount:
    """An account that exists already; none is ever added."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> PopenArguments:
        """What makes ``Popen`` start a process under this account; only root may."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def reaches(self, path: Path) -> bool:
        """Whether it may pass through ``path`` and every folder above it.

        Goes by owner, group and mode alone: what only an access list allows counts as out of
        reach.
        """
        real = path.resolve()
        return all(self._may_pass(part.stat()) for part in (real, *real.parents))

    def _may_pass(self, found: os.stat_result) -> bool:
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def account_of_owner(path: Path) -> SystemAccount | None:
    """The account that owns ``path``, or None for root or an unknown account."""
    uid = path.stat().st_uid
    try:
        return _account(pwd.getpwuid(uid)) if uid else None
    except KeyError:
        return None


def first_account() -> SystemAccount | None:
    """The first of the preferred accounts that exists and is not root under another name."""
    for name in PREFERRED_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid:
            return _account(entry)
    return None


def own_name() -> str:
    """The name of the account this process runs under; its number if it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _account(entry: pwd.struct_passwd) -> SystemAccount:
    return SystemAccount(entry.pw_name, entry.pw_uid, entry.pw_gid)
