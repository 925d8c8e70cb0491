"""From run folders to words and concept scores of their units."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitvis.backbones import load_backbone
from vitvis.concepts.settings import ConceptsSettings
from vitvis.errors import VitvisError
from vitvis.launch.isolation import isolated
from vitvis.launch.shards import hold, nothing_to_join, unfinished
from vitvis.runs import atomic_write, read_manifest, read_records
from vitvis.runs.files import utf8

from .embed import Parts
from .score import Floats, centre, concept_score
from .spaces import WORDNET, LabelMeaning, Look, Meaning, Photos, TowerMeaning, load_look
from .words import rank_words, read_vocabulary, unit_vectors

__all__ = ["FOLDER", "Concepts", "find_concepts", "strongest_photos"]

#: Where a run's concepts lie, within its folder.
FOLDER = "concepts"


@dataclass
class Concepts:
    """Words and scores of one run.

    Attributes:
        path: the run's folder; files are in `concepts/` below it.
        backbone: of the run.
        records: a row a unit: `address, site, kind, depth, unit, score, language, look, photos, words, similarities`.
        table: a row a site: units, and mean, median, share above 0 of the score.
        own_language: whether the run's model is the one whose embedding is the language space. Its units are part of
            what that embedding is made of, so that their score flatters them.
    """

    path: Path
    backbone: str
    records: list[dict[str, Any]]
    table: list[dict[str, Any]]
    own_language: bool = False


@isolated
def find_concepts(settings: ConceptsSettings) -> list[Concepts]:
    """Rank words and score units of every run of the settings, in the same two spaces.

    Returns:
        Words and scores, one a run; none where `shard=` has done its part and others are missing.

    Raises:
        VitvisError: a folder is no run of search or fit, a model can't be loaded, a file can't be read.
    """
    words = read_vocabulary(settings.vocabulary) if settings.language != WORDNET else []
    runs = [(Path(run), read_manifest(run)) for run in settings.run]
    if settings.finish and not (runs[0][0] / FOLDER).is_dir():
        raise nothing_to_join(runs[0][0])
    for path, manifest in runs:
        if manifest["kind"] not in ("search", "fit"):
            raise VitvisError(f"{path}: is a run of {manifest['kind']}; words need a run of search or fit")
        if manifest["kind"] == "fit" and settings.language == WORDNET:
            raise VitvisError(f"{path}: is a run of fit; language={WORDNET} reads the classes of a search's photos")
    fit = _fit(settings, runs)
    meaning = _meaning(settings, [manifest for _, manifest in runs], words)
    searched = any(manifest["kind"] == "search" for _, manifest in runs)
    look = load_look(settings.look, settings.look_weights) if searched else None
    parts = Parts(settings.shard, settings.finish)
    place = runs[0][0] / FOLDER

    def embed() -> list[_Embedded]:
        found = []
        for path, manifest in runs:
            own = path if manifest["kind"] == "fit" else fit[1] if fit and fit[0] == _weights_of(manifest) else None
            found.append(_embed(path, manifest["kind"], own, meaning, look, settings, parts))
        return found

    if settings.shard:
        with hold(place, settings.shard):
            embed()
        if parts.left:
            return []
    with hold(place, join=bool(settings.shard or settings.finish)):
        embedded = embed()
        if parts.left:
            raise unfinished(place.parent, parts.left, parts.total)
        return [_rank(item, meaning, look, settings) for item in embedded]


def _weights_of(manifest: dict[str, Any]) -> tuple[str, str]:
    return str(manifest["backbone"]["name"]), str(manifest["backbone"]["weights_id"])


def _fit(
    settings: ConceptsSettings, runs: Sequence[tuple[Path, dict[str, Any]]]
) -> tuple[tuple[str, str], Path] | None:
    """Return the model of `fit=` and its folder: its images belong to searches of that very model."""
    if settings.fit is None:
        return None
    path = Path(settings.fit)
    manifest = read_manifest(path)
    if manifest["kind"] != "fit":
        raise VitvisError(f"fit={path}: is a run of {manifest['kind']}; give a run of vitvis.fit")
    model = _weights_of(manifest)
    if not any(other["kind"] == "search" and _weights_of(other) == model for _, other in runs):
        raise VitvisError(
            f"fit={path}: has images of {model[0]} ({model[1]}), and none of the searches is of that model"
        )
    return model, path


def _meaning(settings: ConceptsSettings, manifests: Sequence[dict[str, Any]], words: list[str]) -> Meaning:
    if settings.language == WORDNET:
        return LabelMeaning()
    name, weights = settings.language, settings.language_weights
    models = [manifest["backbone"] for manifest in manifests]
    own = next((model for model in models if str(model["name"]).startswith("open_clip:")), None)
    if name is None and own is not None:
        name = str(own["name"])
        weights = str(own.get("weights")) if weights == "hub" else weights
    if name is None:
        raise VitvisError(
            "say which language model reads the pictures: language=open_clip:ViT-B-32 language_weights=FILE (or a "
            f"tag), or language={WORDNET} for photos of WordNet's classes"
        )
    backbone = load_backbone(name, weights)
    if backbone.language is None:
        raise VitvisError(f"language={name}: has no text tower; use a model of open_clip, such as open_clip:ViT-B-32")
    if settings.language is None and own is not None and backbone.weights_id != own["weights_id"]:
        raise VitvisError(
            f"language_weights={weights}: are not the weights of the run's own {name}; "
            "give language_weights=FILE, or name the model too: language=open_clip:NAME"
        )
    return TowerMeaning(backbone, words)


@dataclass
class _Embedded:
    """A run's units and what was embedded for them; an array is None where parts of other shards are missing.

    Attributes:
        path: The run's folder.
        units: A record a unit.
        exemplars: Rows of each unit's photos, `[U, k]`; None for a run of fit.
        meaning: Photos in the language space, and `seen`, in the visual one.
        vectors: Optimised images of the units, `[U, D]`; None where there are none.
        words: The vocabulary.
    """

    path: Path
    units: list[dict[str, Any]]
    exemplars: Any
    meaning: Floats | None
    seen: Floats | None
    vectors: Floats | None
    words: Floats | None


def _embed(
    path: Path,
    kind: str,
    fit: Path | None,
    meaning: Meaning,
    look: Look | None,
    settings: ConceptsSettings,
    parts: Parts,
) -> _Embedded:
    """Embed photos, images and words of a run, or this process's share of them."""
    records = [record for record in read_records(path) if record.get("status", "ok") == "ok"]
    if not records:
        raise VitvisError(f"{path}: has no records of units yet; run it again to finish it")
    units = list({record["address"]: record for record in records}.values())
    cache, batch = path / FOLDER / "cache", settings.batch_size
    exemplars = meant = seen = vectors = None
    if kind == "search" and look is not None:
        files, exemplars = strongest_photos(path, units, settings.k)
        photos = Photos(path, files, cache, batch)
        meant, seen = meaning.photos(photos, parts), look.photos(photos, parts)
    if fit is not None:
        vectors = _optimised(fit, units, meaning, cache, batch, parts)
    caches = [cache, *(Path(run) / FOLDER / "cache" for run in settings.run)]
    return _Embedded(path, units, exemplars, meant, seen, vectors, meaning.words(caches, parts))


def _rank(found: _Embedded, meaning: Meaning, look: Look | None, settings: ConceptsSettings) -> Concepts:
    """Rank words for the units of a run, score them, and write that down; everything is embedded."""
    units, exemplars, scores, words = found.units, found.exemplars, None, meaning.vocabulary
    vectors: list[Floats] = []
    if found.meaning is not None and found.seen is not None:
        vectors.append(unit_vectors(found.meaning, exemplars))
        scores = concept_score(found.meaning, found.seen, exemplars, settings.seed)
    if found.vectors is not None:
        vectors.append(found.vectors)
    assert found.words is not None
    ranking = rank_words(vectors, found.words, settings.words)
    rows = []
    for place, unit in enumerate(units):
        best = zip(ranking.words[place].tolist(), ranking.similarity[place].tolist(), strict=True)
        known = any(bool(kind_of[place].any()) for kind_of in vectors)
        chosen = [(words[word], round(value, 4)) for word, value in best] if known else []
        numbers = (
            [None] * 3
            if scores is None
            else [_number(values[place]) for values in (scores.score, scores.language, scores.look)]
        )
        rows.append(
            {
                **{key: unit[key] for key in ("backbone", "weights_id", "address", "site", "kind", "depth", "unit")},
                "score": numbers[0],
                "language": numbers[1],
                "look": numbers[2],
                "photos": 0 if exemplars is None else int((exemplars[place] >= 0).sum()),
                "words": [word for word, _ in chosen],
                "similarities": [value for _, value in chosen],
            }
        )
    own = str(units[0]["weights_id"]) == meaning.weights_id
    done = Concepts(found.path, str(units[0]["backbone"]), rows, _table(rows), own)
    _write(done, meaning, look, settings)
    return done


def strongest_photos(path: Path, units: Sequence[dict[str, Any]], k: int) -> tuple[dict[str, Path], Any]:
    """Return thumbnails of units' strongest photos by dataset index, and their rows for each unit, `[U, k]`.

    Raises:
        VitvisError: the search kept too few.
    """
    wanted = sorted({int(index) for unit in units for index in unit["strongest_index"][:k]})
    files = {str(index): path / "thumbs" / f"{index}.jpg" for index in wanted}
    files = {index: file for index, file in files.items() if file.is_file()}
    if len(files) < 3:
        raise VitvisError(
            f"{path}: has {len(files)} thumbnails of strongest photos; search again with thumbs=strongest"
        )
    rows = {index: row for row, index in enumerate(files)}
    exemplars = np.full((len(units), k), -1, np.int64)
    for place, unit in enumerate(units):
        for column, index in enumerate(unit["strongest_index"][:k]):
            exemplars[place, column] = rows.get(str(int(index)), -1)
    return files, exemplars


def _optimised(
    fit: Path, units: list[dict[str, Any]], meaning: Meaning, cache: Path, batch: int, parts: Parts
) -> Floats | None:
    """Embeddings of optimised images, `[U, D]`; zeros for units that the fit has no image of."""
    images = {
        str(record["address"]): fit / str(record["image"])
        for record in reversed(read_records(fit))
        if record.get("status") == "ok" and record.get("image") and (fit / str(record["image"])).is_file()
    }
    files = {unit["address"]: images[unit["address"]] for unit in units if unit["address"] in images}
    if len(files) < 2:  # the mean that vectors are measured from needs others
        raise VitvisError(f"{fit}: has images of {len(files)} of these units; words need at least two")
    found = meaning.images(files, cache, batch, parts)
    if found is None:
        return None
    features = centre(found)
    vectors = np.zeros((len(units), features.shape[1]), np.float32)
    places = [place for place, unit in enumerate(units) if unit["address"] in files]
    by_address = dict(zip(files, features, strict=True))
    for place in places:
        vectors[place] = by_address[units[place]["address"]]
    return vectors


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    table = []
    for site in dict.fromkeys(row["site"] for row in rows):
        own = [row for row in rows if row["site"] == site]
        scores = np.array([row["score"] for row in own if row["score"] is not None])
        entry = {"backbone": own[0]["backbone"], "site": site, "units": len(own)}
        if len(scores):
            entry |= {
                "mean": round(float(scores.mean()), 4),
                "median": round(float(np.median(scores)), 4),
                "above_0": round(float((scores > 0).mean()), 4),
                "language": round(float(np.mean([row["language"] for row in own if row["language"] is not None])), 4),
                "look": round(float(np.mean([row["look"] for row in own if row["look"] is not None])), 4),
            }
        table.append(entry)
    return table


def _write(done: Concepts, meaning: Meaning, look: Look | None, settings: ConceptsSettings) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = done.path / FOLDER
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(done.records), buffer)
    text = io.StringIO()
    writer = csv.writer(text)
    columns = ("address", "score", "language", "look", "photos")
    writer.writerow([*columns, "words"])
    for row in done.records:
        writer.writerow([*(row[column] for column in columns), "; ".join(row["words"])])
    summary = {
        "language": {"name": meaning.name, "weights": meaning.weights, "weights_id": meaning.weights_id},
        "look": None if look is None else {"name": look.name, "weights": look.weights, "weights_id": look.weights_id},
        "k": settings.k,
        "seed": settings.seed,
        "own_language": done.own_language,
        "table": done.table,
    }
    atomic_write(folder / "concepts.csv", utf8(text.getvalue()))
    atomic_write(folder / "concepts.json", json.dumps(summary, indent=1).encode())
    atomic_write(folder / "concepts.parquet", buffer.getvalue())
