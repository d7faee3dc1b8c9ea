"""Re-hashing what is stored: models against their manifests, DVC's cache against its own names.

DVC trusts a read-only cache object without looking at it again and would hand rotten bytes on. MD5, DVC's name of
an object, is no protection against a forger; the manifests' SHA-256, which tags record, are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import MANIFEST, sha256_file, verify_manifest
from forge.interface.paths import CODE, RESULTS
from forge.pipeline.dvc.lockfile import LOCK, Cache, Lock, Out, is_dvc_cache_draft, is_dvc_cache_object_intact, md5_path
from forge.pipeline.registry import store
from forge.pipeline.registry.versions import versions


@dataclass(frozen=True)
class Damage:
    """One thing that is not what it should be. fix: the commands that put it right."""

    path: str
    what: str
    fix: str


def verify_integrity(root: Path) -> dict[str, Any]:
    """Check workspace, cache, registered versions and registry.

    Returns:
        `checked`: outputs, cache objects, versions looked at. `absent`: outputs of dvc.lock that are not in the
        workspace, which is no damage. `damaged`: list of path, what, fix.

    Raises:
        ForgeError: there is no dvc.lock, or it is damaged.
    """
    cache = Cache.of(root)
    # Plots and metrics are Git's, which looks after them itself.
    small = (RESULTS, CODE)  # files without a manifest
    outs = [out for out in Lock.read(root).outs().values() if not {*Path(out.path).parents, Path(out.path)} & {*small}]
    absent = [out.path for out in outs if not (root / out.path).exists()]
    objects, users = list(cache.objects()), cache.users(outs)
    present = {
        out.md5 for out in outs if cache.object(out.md5).is_file() and is_dvc_cache_object_intact(cache.object(out.md5))
    }
    damaged = [damage for out in outs if out.path not in absent and (damage := _check_output_integrity(root, out))]
    damaged += [damage for path in objects if (damage := _check_cache_object_integrity(path, users))]
    damaged += [
        _missing_object_integrity_damage(out, name)
        for out in outs
        if out.md5 in present
        for name in cache.missing(out.md5)
    ]
    known, rotten = _integrity_damage_of_versions(root, cache)
    damaged += rotten
    damaged += _registry_integrity_damage()
    checked = {"outputs": len(outs) - len(absent), "objects": len(objects), "versions": known}
    return {"checked": checked, "absent": absent, "damaged": [asdict(damage) for damage in damaged]}


def _registry_integrity_damage() -> list[Damage]:
    path = store.registry_path().as_posix()
    try:
        return [Damage(path, line, store.FIX_HINT) for line in store.validate_registry_store()]
    except ForgeError as error:
        return [Damage(path, str(error), "nothing in it is known to be damaged; verify again when it can be read")]


def _check_output_integrity(root: Path, out: Out) -> Damage | None:
    fix = f"rm -r {out.path} && dvc checkout {out.path}   (or, if the cache is damaged too: agent-forge run)"
    try:
        verify_manifest(root / out.path)
    except ForgeError as error:
        return Damage(out.path, str(error), fix)
    if md5_path(root / out.path, {}) != out.md5:
        return Damage(out.path, f"is whole, but not what {LOCK} names", fix)
    return None


def _check_cache_object_integrity(path: Path, users: dict[str, list[str]]) -> Damage | None:
    md5 = path.parent.name + path.name
    if is_dvc_cache_draft(path):
        return Damage(path.as_posix(), "half-written, by a run that was killed or still works", f"rm {path}")
    if is_dvc_cache_object_intact(path):
        return None
    what = f"its bytes do not have the MD5 {md5.removesuffix('.dir')} that it is named by"
    if md5 not in users:
        return Damage(path.as_posix(), what, f"rm {path}   (nothing in {LOCK} uses it; an older version may)")
    user = users[md5][0]
    otherwise = "without a remote: dvc commit, if the workspace is whole, else dvc repro"
    fix = f"rm -f {path} && dvc fetch {user}   ({otherwise})"
    return Damage(path.as_posix(), f"{what}; it is {user}", fix)


def _missing_object_integrity_damage(out: Out, name: str) -> Damage:
    fix = f"dvc fetch {out.path}   (without a remote: dvc commit {out.stage}, if the workspace is whole)"
    return Damage(f"{out.path}/{name}", "is missing from the DVC cache, though the rest of its folder is there", fix)


def _integrity_damage_of_versions(root: Path, cache: Cache) -> tuple[int, list[Damage]]:
    """The manifests of registered versions, as far as they are in the cache; number of versions, and damage."""
    found, known = [], versions(root)
    for version in known:
        md5, expected = version.facts.get("dvc_md5"), version.facts.get("manifest_sha256")
        path = cache.object(md5) if md5 else None
        if path is None or not path.is_file() or not is_dvc_cache_object_intact(path):
            continue
        manifest = cache.file(str(md5), MANIFEST)
        if manifest is not None and sha256_file(manifest) != expected:
            what = "the manifest in the cache is not the one that was registered"
            fix = f"git show {version.tag} shows what was; register the right model as a new version"
            found.append(Damage(version.tag, what, fix))
    return len(known), found
