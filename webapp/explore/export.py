"""What visitors take home from the Explore page."""

from collections.abc import Callable, Sequence

from freeavatar.explore.export import MOST_PICTURED, Table, to_csv, to_list, to_npz, to_page
from freeavatar.explore.maps import FaceMap
from freeavatar.explore.sheets import THUMBNAILS
from webapp.common.words import say
from webapp.explore.pool import Pool, name_of

Exported = tuple[str, str, bytes]
"""Name of the file, its media type, its bytes."""

_FILES: dict[str, tuple[str, str, Callable[[Table], bytes]]] = {
    "list": ("faces.txt", "text/plain", to_list),
    "csv": ("faces.csv", "text/csv", to_csv),
    "npz": ("faces.npz", "application/octet-stream", to_npz),
}
KINDS = (*_FILES, "html")
"""What :func:`export` makes."""


def export(
    kind: str, pool: Pool, drawn: FaceMap, chosen: Sequence[int], *, sheet: Callable[[int], str], language: str
) -> Exported:
    """Chosen images as one of :data:`KINDS`; ``sheet`` gives the ``data:`` URL of a sheet of thumbnails."""
    words = {"cluster": [f"cluster {k + 1}" for k in pool.clusters.labels], **pool.words}
    title = say(language, "explore.saved.title", map=drawn.config.name)
    sources = [name_of(source) for source in pool.sources]
    table = Table(title, pool.ids, sources, pool.vectors, drawn.points, words).rows(chosen)
    if kind in _FILES:
        name, mime, write = _FILES[kind]
        return name, mime, write(table)
    needed, cells = _cells(pool, chosen)
    note = say(language, "explore.saved.note", trust=f"{drawn.trust:.2f}")
    return "map.html", "text/html", to_page(table, [sheet(number) for number in needed], cells, note=note)


def _cells(pool: Pool, chosen: Sequence[int]) -> tuple[list[int], list[int]]:
    """Numbers of the sheets that show the images, and each one's cell on them; -1 for one without a picture."""
    places = {int(image): cell for cell, image in enumerate(pool.order)}
    needed = sorted({places[k] // THUMBNAILS.capacity for k in chosen if places[k] < MOST_PICTURED})
    numbers = {number: k for k, number in enumerate(needed)}
    cells = [
        numbers[number] * THUMBNAILS.capacity + places[k] % THUMBNAILS.capacity
        if (number := places[k] // THUMBNAILS.capacity) in numbers
        else -1
        for k in chosen
    ]
    return needed, cells
