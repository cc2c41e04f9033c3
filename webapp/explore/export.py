"""What visitors take home from the Explore page."""

from collections.abc import Callable, Sequence

from freeavatar.explore.export import MOST_PICTURED, Table, to_csv, to_list, to_npz, to_page
from freeavatar.explore.maps import FaceMap
from freeavatar.explore.sheets import THUMBNAILS
from webapp.common.words import say
from webapp.explore.pool import Pool, name_of

Exported = tuple[str, str, bytes]
"""Name of the file, its media type, its bytes."""
Exporter = Callable[[Pool, FaceMap, Sequence[int], Callable[[int], str], str], Exported]


def _table(pool: Pool, drawn: FaceMap, chosen: Sequence[int], language: str) -> Table:
    words = {"cluster": [f"cluster {k + 1}" for k in pool.clusters.labels], **pool.words}
    title = say(language, "explore.saved.title", map=drawn.config.name)
    sources = [name_of(source) for source in pool.sources]
    return Table(title, pool.ids, sources, pool.vectors, drawn.points, words).rows(chosen)


def _list(pool: Pool, drawn: FaceMap, chosen: Sequence[int], _: Callable[[int], str], language: str) -> Exported:
    return "faces.txt", "text/plain", to_list(_table(pool, drawn, chosen, language))


def _csv(pool: Pool, drawn: FaceMap, chosen: Sequence[int], _: Callable[[int], str], language: str) -> Exported:
    return "faces.csv", "text/csv", to_csv(_table(pool, drawn, chosen, language))


def _npz(pool: Pool, drawn: FaceMap, chosen: Sequence[int], _: Callable[[int], str], language: str) -> Exported:
    return "faces.npz", "application/octet-stream", to_npz(_table(pool, drawn, chosen, language))


def _page(pool: Pool, drawn: FaceMap, chosen: Sequence[int], sheet: Callable[[int], str], language: str) -> Exported:
    places = {int(image): cell for cell, image in enumerate(pool.order)}
    needed = sorted({places[k] // THUMBNAILS.capacity for k in chosen if places[k] < MOST_PICTURED})
    numbers = {number: k for k, number in enumerate(needed)}
    cells = [
        numbers[number] * THUMBNAILS.capacity + places[k] % THUMBNAILS.capacity
        if (number := places[k] // THUMBNAILS.capacity) in numbers
        else -1
        for k in chosen
    ]
    note = say(language, "explore.saved.note", trust=f"{drawn.trust:.2f}")
    page = to_page(_table(pool, drawn, chosen, language), [sheet(number) for number in needed], cells, note=note)
    return "map.html", "text/html", page


EXPORTS: dict[str, Exporter] = {"list": _list, "csv": _csv, "npz": _npz, "html": _page}
"""By name."""
