"""What evolution varies: a recipe of up to three stages that turns base and parents into one model.

1. *interpolation* (``linear`` | ``slerp`` | ``regmean``): parents averaged with weights, in weight space, on the
   sphere of their task vectors or by their layers' outputs; then moved to base + t * (average - base).
2. *sparsifier* (``dare`` | ``ties`` | ``none``): sparse task vectors merged onto the base, blended with the
   result of stage 1.
3. *recombination* (``frankenmerge`` | ``dfs`` | ``none``): blocks of {the result so far, the parents} put in
   place of others.

All coefficients exist once a layer group (`GROUPINGS`), so embeddings, fast module, slow module and memory may
lean on different parents. Every stage has a setting that changes nothing, bit for bit: t = 1, blend = 0 or
``none``, the identity path.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch

from forge.errors import ForgeError
from forge.merge.layers import MODULES, Junction, frankenmerge, interchangeable_merge_blocks, merge_by_dataflow
from forge.merge.methods import Model, StateDict, check_mergeable, dare, merge_linear, slerp_deltas, ties
from forge.merge.regmean import Grams, regmean

INTERPOLATIONS = ("linear", "slerp", "regmean")
SPARSIFIERS = ("dare", "ties", "none")
RECOMBINATIONS = ("frankenmerge", "dfs", "none")
TECHNIQUES = ("linear", "slerp", "regmean", "ties", "dare", "frankenmerge", "dfs")

# Layer groups: by module, or every block on its own. A tensor outside the named ones belongs to `REST`.
GROUPINGS = ("module", "block")
REST = "rest"
# Ranges that evolution keeps to; t and lam beyond 1 extrapolate along the task vectors.
RANGES: Mapping[str, tuple[float, float]] = {
    "weight": (0.0, 1.0),
    "t": (0.25, 1.75),
    "density": (0.1, 1.0),
    "lam": (0.3, 2.0),
    "blend": (0.0, 1.0),
    "scale": (0.6, 1.6),
}
_SPARSE_GENES = ("density", "lam")


@dataclass(frozen=True)
class GroupGenes:
    """Coefficients of one layer group.

    Attributes:
        weights: one per parent, at least 0 and not all 0; only their shares count.
        t: how far stage 1 goes from the base (0) to the average (1) and beyond.
        density: share of the task vectors' entries that stage 2 keeps.
        lam: factor on the task vector that stage 2 adds to the base.
        blend: share of stage 2 in the mixture of stages 1 and 2.
    """

    weights: tuple[float, ...]
    t: float = 1.0
    density: float = 0.7
    lam: float = 1.0
    blend: float = 0.5

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights divided by their sum."""
        total = sum(self.weights)
        return tuple(weight / total for weight in self.weights)


@dataclass(frozen=True)
class Layout:
    """What a genome must know of the models: how many, which blocks may sit where (`interchangeable`), the layer groups
    that have tensors, and the interpolations that can be expressed (RegMean only where Gram matrices are given)."""

    parents: int
    low: tuple[tuple[int, ...], ...]
    high: tuple[tuple[int, ...], ...]
    groups: tuple[str, ...]
    interpolations: tuple[str, ...]

    @classmethod
    def of(cls, base: Model, parents: Sequence[Model], grouping: str = "module", grams: Sequence[Grams] = ()) -> Layout:
        """Layout of models that have been checked to match; `ForgeError` if they do not, if there are no
        parents or no blocks, or for a grouping that is not one of `GROUPINGS`.
        """
        if grouping not in GROUPINGS:
            raise ForgeError(f"evolution: grouping '{grouping}' is not one of {', '.join(GROUPINGS)}")
        check_mergeable((base, *parents))
        if not parents:
            raise ForgeError("evolution: no parents given")
        low, high = (interchangeable_merge_blocks(base, module) for module in MODULES)
        if not low and not high:
            raise ForgeError(f"evolution: the models have no blocks named {' or '.join(f'{m}.0.*' for m in MODULES)}")
        modules = {module: len(blocks) for module, blocks in zip(MODULES, (low, high), strict=True)}
        if grouping == "block":
            stacks = [f"{module}.{index}" for module, depth in modules.items() for index in range(depth)]
        else:
            stacks = list(modules)
        named = ("embed", *stacks, "memory", REST)
        used = {genome_layer_group(name, named) for name in base}
        interpolations = tuple(name for name in INTERPOLATIONS if grams or name != "regmean")
        return cls(len(parents), low, high, tuple(group for group in named if group in used), interpolations)

    def identity(self) -> dict[str, tuple[Junction, ...]]:
        """The paths that leave every block of model 0 where it is."""
        return {module: tuple(Junction(0, i) for i in range(len(getattr(self, module)))) for module in MODULES}


@dataclass(frozen=True)
class Genome:
    """A recipe; see the module's text.

    Attributes:
        interpolation: one of `INTERPOLATIONS`.
        sparsifier: one of `SPARSIFIERS`.
        recombination: one of `RECOMBINATIONS`.
        names: the layer groups (`Layout.groups`).
        groups: coefficients, one set a layer group.
        low: path of the fast module; donor 0 is the result of stages 1 and 2, donor i the i-th parent.
        high: path of the slow module.
        seed: of DARE's masks.
    """

    interpolation: str
    sparsifier: str
    recombination: str
    names: tuple[str, ...]
    groups: tuple[GroupGenes, ...]
    low: tuple[Junction, ...] = ()
    high: tuple[Junction, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for value, allowed in (
            (self.interpolation, INTERPOLATIONS),
            (self.sparsifier, SPARSIFIERS),
            (self.recombination, RECOMBINATIONS),
        ):
            if value not in allowed:
                raise ForgeError(f"genome: '{value}' is not one of {', '.join(allowed)}")
        if len(self.groups) != len(self.names):
            raise ForgeError(
                f"genome: {len(self.groups)} groups of coefficients, there are {len(self.names)} layer groups"
            )
        for genes in self.groups:
            if not genes.weights or min(genes.weights) < 0.0 or sum(genes.weights) <= 0.0:
                raise ForgeError(f"genome: weights {list(genes.weights)} must be at least 0 and not all 0")

    @property
    def techniques(self) -> tuple[str, ...]:
        """The techniques in use, in the order of the stages; none for an unchanged parent."""
        if self.is_parent:
            return ()
        return tuple(t for t in (self.interpolation, self.sparsifier, self.recombination) if t != "none")

    @property
    def label(self) -> str:
        """Name of the combination, for example ``linear+ties+dfs``; ``parent`` for an unchanged parent."""
        return "+".join(self.techniques) or "parent"

    @property
    def is_parent(self) -> bool:
        """Whether the recipe returns one parent as it is."""
        chosen = {tuple(weight > 0.0 for weight in genes.weights) for genes in self.groups}
        single = len(chosen) == 1 and sum(next(iter(chosen))) == 1
        return single and self.sparsifier == self.recombination == "none" and all(g.t == 1.0 for g in self.groups)

    def effective_path(self, module: str) -> tuple[Junction, ...]:
        """The path really run: identity without recombination, no moves or scalings in a FrankenMerge."""
        path: tuple[Junction, ...] = getattr(self, module)
        if self.recombination == "none":
            return tuple(Junction(0, depth) for depth in range(len(path)))
        if self.recombination == "frankenmerge":
            return tuple(Junction(junction.donor, depth) for depth, junction in enumerate(path))
        return path

    def key(self) -> str:
        """SHA-256 of the genes that take effect: equal keys express the same model. The cache's key."""
        silent = () if self.sparsifier != "none" else (*_SPARSE_GENES, "blend")
        groups = [{k: v for k, v in asdict(genes).items() if k not in silent} for genes in self.groups]
        paths = {module: [(j.donor, j.block, j.scale) for j in self.effective_path(module)] for module in MODULES}
        stages = (self.interpolation, self.sparsifier, self.recombination)
        seed = self.seed if self.sparsifier == "dare" else None
        genes = [stages, self.names, groups, paths, seed]
        return hashlib.sha256(json.dumps(genes, sort_keys=True).encode()).hexdigest()


def genome_with_paths(genome: Genome, paths: Mapping[str, tuple[Junction, ...]]) -> Genome:
    """The genome with other paths, given by module."""
    return replace(genome, low=paths["low"], high=paths["high"])


def parent_genome(layout: Layout, index: int) -> Genome:
    """The genome that returns parent ``index`` bit for bit."""
    weights = tuple(float(i == index) for i in range(layout.parents))
    groups = (GroupGenes(weights),) * len(layout.groups)
    return genome_with_paths(Genome("linear", "none", "none", layout.groups, groups), layout.identity())


def evomerge_average_genome(layout: Layout, interpolation: str = "linear", t: float = 1.0) -> Genome:
    """The genome that returns the plain average of all parents, or another one that treats all parents alike."""
    groups = (GroupGenes((1.0,) * layout.parents, t=t),) * len(layout.groups)
    return genome_with_paths(Genome(interpolation, "none", "none", layout.groups, groups), layout.identity())


def genome_layer_group(name: str, groups: Sequence[str]) -> str:
    """Layer group of a tensor: the one that its name begins with, else ``rest`` (start state, halting, ...)."""
    return next((group for group in groups if name.startswith(f"{group}.")), REST)


def express_genome(genome: Genome, base: Model, parents: Sequence[Model], grams: Sequence[Grams] = ()) -> StateDict:
    """Build the model that a genome describes.

    Args:
        genome: the recipe.
        base: the trunk that all parents were trained from.
        parents: at least one state dict with the base's names and shapes.
        grams: of the parents' layers, one per parent; RegMean alone asks for them.

    Returns:
        A new state dict in the base's order; it shares no memory with the inputs.

    Raises:
        ForgeError: models do not match each other or the genome.
    """
    if any(len(genes.weights) != len(parents) for genes in genome.groups):
        raise ForgeError(f"genome: made for {len(genome.groups[0].weights)} parents, {len(parents)} given")
    generator = torch.Generator().manual_seed(genome.seed)
    merged: StateDict = {}
    members_of: dict[str, list[str]] = {group: [] for group in genome.names}
    for name in base:
        group = genome_layer_group(name, genome.names)
        if group not in members_of:
            raise ForgeError(f"genome: made for other models, it has no layer group for '{name}'")
        members_of[group].append(name)
    for genes, names in zip(genome.groups, members_of.values(), strict=True):
        trunk, *members = ({name: model[name] for name in names} for model in (base, *parents))
        moments = [{name: gram[name] for name in names if name in gram} for gram in grams]
        merged |= _express_group_genes(genome, genes, trunk, members, moments, generator)
    merged = {name: merged[name] for name in base}
    donors = (merged, *parents)
    paths = {module: genome.effective_path(module) for module in MODULES}
    if genome.recombination == "frankenmerge":
        return frankenmerge(donors, {module: [junction.donor for junction in path] for module, path in paths.items()})
    return merge_by_dataflow(donors, paths) if genome.recombination == "dfs" else merged


def _express_group_genes(
    genome: Genome,
    genes: GroupGenes,
    base: Model,
    parents: Sequence[Model],
    grams: Sequence[Grams],
    generator: torch.Generator,
) -> StateDict:
    """Stages 1 and 2 on the tensors of one layer group; parents without weight are not looked at."""
    weighed = [gram for gram, share in zip(grams, genes.shares, strict=False) if share > 0.0]
    used = [(parent, share) for parent, share in zip(parents, genes.shares, strict=True) if share > 0.0]
    parents, shares = [parent for parent, _ in used], [share for _, share in used]
    if genome.interpolation == "linear":
        merged = merge_linear(parents, shares)
    elif genome.interpolation == "regmean":
        merged = regmean(parents, weighed, shares)
    else:
        merged = slerp_deltas(base, parents, shares)
    if genes.t != 1.0:
        merged = merge_linear((base, merged), (1.0 - genes.t, genes.t), normalize=False)
    if genome.sparsifier == "none":
        return merged
    if genome.sparsifier == "ties":
        sparse = ties(base, parents, shares, genes.density, lam=genes.lam)
    else:
        sparse = dare(base, parents, shares, genes.density, generator, lam=genes.lam)
    return merge_linear((merged, sparse), (1.0 - genes.blend, genes.blend), normalize=False)


def genome_distance(a: Genome, b: Genome) -> float:
    """Normalized distance of two genomes, 0 (same recipe) to 1; symmetric. Genes without effect do not count.

    Mean of three parts, each 0 to 1: the share of stages whose technique differs; the mean difference of
    coefficients over the layer groups, each in units of its range (weights: half the sum of differences of
    shares; density and lam where both use a sparsifier; blend is 0 without one); the mean over depths of
    (another block) / 2 + (scale in units of its range) / 2.
    """
    stages = [(g.interpolation, g.sparsifier, g.recombination) for g in (a, b)]
    techniques = [float(x != y) for x, y in zip(*stages, strict=True)]
    coefficients: list[float] = []
    for left, right in zip(a.groups, b.groups, strict=True):
        coefficients.append(sum(abs(x - y) for x, y in zip(left.shares, right.shares, strict=True)) / 2)
        coefficients.append(_gene_gap("t", left.t, right.t))
        blends = [genes.blend * (g.sparsifier != "none") for g, genes in ((a, left), (b, right))]
        coefficients.append(_gene_gap("blend", *blends))
        if "none" not in (a.sparsifier, b.sparsifier):
            coefficients.extend(_gene_gap(name, getattr(left, name), getattr(right, name)) for name in _SPARSE_GENES)
    steps = [
        (((x.donor, x.block) != (y.donor, y.block)) + _gene_gap("scale", x.scale, y.scale)) / 2
        for module in MODULES
        for x, y in zip(a.effective_path(module), b.effective_path(module), strict=True)
    ]
    return sum(sum(part) / len(part) for part in (techniques, coefficients, steps) if part) / 3


def _gene_gap(gene: str, x: float, y: float) -> float:
    low, high = RANGES[gene]
    return min(1.0, abs(x - y) / (high - low))
