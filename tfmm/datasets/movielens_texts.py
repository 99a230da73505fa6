"""MovieLens's words: item texts, and the queries that lead to a movie."""

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tfmm.datasets.movielens_source import MovieLens

_YEAR = re.compile(r"\s*\(([0-9]{4})\)\s*$")
_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)"
    r"(?<!\b[A-Z]\.)\s+(?=[A-Z])"
)
_NO_GENRES = "(no genres listed)"


def item_table(data: MovieLens, posters: Mapping[int, str]) -> pa.Table:
    """One row a movie, in the order of the source.

    Args:
        data: The source.
        posters: Movie id -> path of its poster.
    """
    movies = data.movies["movieId"].tolist()
    titles = [title_and_year(title) for title in data.movies["title"]]
    genres = [_genres(joined) for joined in data.movies["genres"]]
    return pa.table(
        {
            "movieId": pa.array(movies, pa.int64()),
            "title": pa.array([title for title, _ in titles], pa.string()),
            "text": pa.array(
                [
                    f"{title}. {' '.join(names)}".strip(". ")
                    for (title, _), names in zip(titles, genres, strict=True)
                ],
                pa.string(),
            ),
            "genres": pa.array([" ".join(names) for names in genres], pa.string()),
            "main_genre": pa.array(
                [names[0] if names else None for names in genres], pa.string()
            ),
            "year": pa.array([year for _, year in titles], pa.int64()),
            "image": pa.array([posters.get(movie) for movie in movies], pa.string()),
        }
    )


def search_table(
    data: MovieLens, known_since: Mapping[int, int]
) -> tuple[pa.Table, Counter[str]]:
    """Words that lead to a movie: the pairs for the towers, in time order.

    Three kinds, by decreasing nearness to a real search: tags, which users typed
    about a movie at a known time; the first sentence of its plot; and keywords:
    genres, director, first two actors and year. Plots and keywords are content, not
    behaviour, and have no time of their own: they get the time of the movie's first
    rating, when the service certainly had it, so that a split by time makes pairs of
    late movies test pairs.

    Args:
        data: The source.
        known_since: Movie id -> time of its first rating, seconds.

    Returns:
        The table, and reason -> number left out: `never_rated` plots and keywords of
        movies that nobody ever rated, tags `without_movie` or `empty`.
    """
    movies = set(data.movies["movieId"].tolist())
    rows: list[tuple[int, str, int]] = []
    left_out: Counter[str] = Counter()
    tags = (data.tags[name].tolist() for name in ("timestamp", "tag", "movieId"))
    for time, tag, movie in zip(*tags, strict=True):
        if movie not in movies:
            left_out["without_movie"] += 1
        elif not tag:
            left_out["empty"] += 1
        else:
            rows.append((time, tag, movie))
    for movie, words in _content(data):
        if movie in known_since:
            rows.append((known_since[movie], words, movie))
        else:
            left_out["never_rated"] += 1
    rows.sort()
    table = pa.table(
        {
            "time": pa.array([time for time, _, _ in rows], pa.int64()),
            "query_text": pa.array([words for _, words, _ in rows], pa.string()),
            "bought_item": pa.array([movie for _, _, movie in rows], pa.int64()),
        }
    )
    return table, left_out


def title_and_year(title: str) -> tuple[str, int | None]:
    """Splits a title from its year.

    Example:
        >>> title_and_year("Toy Story (1995)")
        ('Toy Story', 1995)
        >>> title_and_year("Babylon 5")
        ('Babylon 5', None)
    """
    match = _YEAR.search(title)
    return (title[: match.start()], int(match[1])) if match else (title.strip(), None)


def first_sentence(text: str) -> str:
    """The text up to its first sentence's end.

    Example:
        >>> first_sentence("Mr. Potato is jealous. A spaceman comes.")
        'Mr. Potato is jealous.'
    """
    return _SENTENCE_END.split(text.strip(), maxsplit=1)[0]


def _content(data: MovieLens) -> list[tuple[int, str]]:
    """(movie, words) from plots, then from keywords."""
    known = set(data.movies["movieId"].tolist())
    pairs: list[tuple[int, str]] = []
    people: dict[int, list[str]] = {}
    columns = (data.plots[name] for name in ("movieId", "plot", "director", "actors"))
    for movie, plot, director, actors in zip(*columns, strict=True):
        if movie not in known:
            continue
        if plot:
            pairs.append((int(movie), first_sentence(plot)))
        names = [*_names(director)[:1], *_names(actors)[:2]]
        people[int(movie)] = names
    for movie, title, joined in zip(*data.movies.values(), strict=True):
        year = title_and_year(title)[1]
        words = [*_genres(joined), *people.get(int(movie), [])]
        words += [str(year)] if year else []
        if words:
            pairs.append((int(movie), " ".join(words)))
    return pairs


def _genres(joined: str | None) -> list[str]:
    return [] if joined in (None, "", _NO_GENRES) else str(joined).split("|")


def _names(joined: str | None) -> list[str]:
    return [] if joined in (None, "", "N/A", np.nan) else str(joined).split(", ")
