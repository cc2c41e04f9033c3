"""Maps, neighbours and clusters: exact where they can be, honest where they cannot."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from freeavatar.errors import InputError
from freeavatar.explore.clusters import find_clusters
from freeavatar.explore.fitting import FittingError, cached_path, fit_steps, read_map
from freeavatar.explore.maps import FaceMap, MapConfig, aligned, make_map, place, trustworthiness_of
from freeavatar.explore.neighbours import farthest, nearest, neighbour_change, own_neighbours, wrong_triplets


def blobs(count: int = 120, kinds: int = 3, *, seed: int = 0) -> np.ndarray:
    """Unit vectors ``(count, 16)`` in tight groups."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(kinds, 16))
    vectors = centres[np.arange(count) % kinds] + 0.1 * rng.normal(size=(count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def end_of(steps):
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        return stop.value


def test_pca_is_scikit_learns_up_to_size_and_sign():
    vectors = blobs()
    mine, theirs = make_map(vectors, MapConfig()).points, PCA(2).fit_transform(vectors)
    assert np.abs(np.linalg.norm(mine, axis=1).max() - 1) < 1e-6
    for axis in range(2):
        assert abs(np.corrcoef(mine[:, axis], theirs[:, axis])[0, 1]) > 0.99999


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_faces_have_a_map_without_a_trustworthiness(count, dims):
    drawn = make_map(blobs()[:count], MapConfig(dims=dims))
    assert drawn.points.shape == (count, dims) and np.isfinite(drawn.points).all() and np.isnan(drawn.trust)


def test_identical_faces_share_one_place():
    drawn = make_map(np.repeat(blobs()[:1], 40, axis=0), MapConfig())
    assert not drawn.points.any() and np.isnan(drawn.trust)


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_umap_and_tsne_say_how_many_faces_they_need(method):
    same = np.repeat(blobs()[:5], 8, axis=0)
    with pytest.raises(InputError, match="at least 12 different faces and there are 5"):
        make_map(same, MapConfig(method))
    with pytest.raises(InputError, match="there is no map"):
        MapConfig("mds")


def test_trustworthiness_tells_structure_from_noise():
    vectors = blobs(300, 8)
    noise = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    assert abs(trustworthiness_of(vectors, noise) - 0.5) < 0.05
    assert trustworthiness_of(vectors, vectors) > 0.999


def test_tsne_keeps_neighbourhoods_and_the_order_of_its_rows(monkeypatch):
    vectors = blobs()
    assert make_map(vectors, MapConfig("tsne")).trust > 0.9
    monkeypatch.setattr("freeavatar.explore.maps.MOST_TSNE", 80)
    assert make_map(vectors, MapConfig("tsne")).trust > 0.85  # forty of them placed among the others


def test_new_faces_are_placed_where_the_map_put_the_same_ones():
    vectors = blobs()
    drawn = make_map(vectors, MapConfig())
    np.testing.assert_allclose(place(vectors[:7], vectors, drawn), drawn.points[:7], atol=1e-5)
    other = FaceMap(MapConfig("umap"), drawn.points, 1.0)
    np.testing.assert_allclose(place(vectors[:7], vectors, other), drawn.points[:7], atol=1e-3)


def test_a_turned_and_mirrored_map_is_laid_onto_the_other():
    points = make_map(blobs(), MapConfig(dims=3)).points
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    np.testing.assert_allclose(aligned(2 * points @ turn + 5, points), points, atol=1e-5)


def test_neighbours_are_scikit_learns():
    vectors = blobs()
    order, distances = nearest(vectors[:9], vectors, 6)
    theirs, indices = NearestNeighbors(n_neighbors=6).fit(vectors).kneighbors(vectors[:9])
    np.testing.assert_allclose(distances, theirs, atol=1e-5)
    assert (order == indices).mean() > 0.95
    assert farthest(vectors[0], vectors, 1)[0][0] == np.linalg.norm(vectors - vectors[0], axis=1).argmax()


def test_nobody_is_a_neighbour_of_oneself_even_among_twins():
    twins = np.repeat(blobs()[:1], 12, axis=0)
    own = own_neighbours(twins, 5)
    assert own.shape == (12, 5) and not (own == np.arange(12)[:, None]).any()


def test_neighbours_change_as_far_as_the_bundle_does():
    vectors = blobs()
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0].astype(np.float32)
    assert neighbour_change(vectors, vectors @ turn).max() == 0
    assert neighbour_change(vectors, vectors[::-1]).mean() > 0.5


def test_a_bundle_is_wrong_where_people_see_it_otherwise():
    vectors = np.array([[0.0], [1.0], [3.0]], np.float32)
    triplets = np.array([[0, 1, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0]])
    # A grid asks for the anchor's distances alone; in three, the third must be the odd one out.
    assert wrong_triplets(vectors, triplets, np.zeros(4, bool)).tolist() == [False, True, False, True]
    assert wrong_triplets(vectors, triplets, np.ones(4, bool)).tolist() == [False, True, True, True]


def test_clusters_are_found_sorted_by_size_and_rated():
    vectors = np.concatenate([blobs(100, 1, seed=1), blobs(60, 1, seed=2)])
    found = find_clusters(vectors, most=2)
    assert found.count == 2 and (found.labels[:100] == 0).all() and (found.labels[100:] == 1).all()
    assert found.silhouette > 0.7
    noise = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    assert find_clusters(noise).silhouette < 0.2
    assert find_clusters(np.repeat(vectors[:1], 9, axis=0)).count == 1 and find_clusters(vectors[:0]).count == 0


def test_a_map_is_fitted_in_a_process_of_its_own_and_kept(tmp_path):
    vectors, config = blobs(60), MapConfig("tsne")
    steps = fit_steps(vectors, config, tmp_path)
    assert next(steps) >= 0
    drawn = end_of(steps)
    assert drawn.points.shape == (60, 2) and drawn.trust > 0.8
    assert list(fit_steps(vectors, config, tmp_path)) == []  # kept
    assert cached_path(vectors[:-1], config, tmp_path) != cached_path(vectors, config, tmp_path)
    kept = cached_path(vectors, config, tmp_path)
    kept.write_bytes(kept.read_bytes()[:100])
    assert read_map(kept, config, 60) is None  # damaged: fitted again


def test_the_process_fits_the_map_that_was_asked_for(tmp_path):
    vectors, config = blobs(60), MapConfig("tsne", neighbours=3, seed=5)
    drawn = end_of(fit_steps(vectors, config, tmp_path))
    np.testing.assert_allclose(drawn.points, make_map(vectors, config).points, atol=1e-4)
    assert np.abs(drawn.points - make_map(vectors, MapConfig("tsne")).points).max() > 0.1


def test_closing_the_steps_ends_the_process(tmp_path, monkeypatch):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[0])
    steps = fit_steps(blobs(), MapConfig("umap"), tmp_path)
    next(steps)
    steps.close()
    assert started[0].poll() is not None and list(tmp_path.iterdir()) == []


def test_a_failed_fit_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(FittingError, match="t-SNE in 2-D failed"):
        end_of(fit_steps(blobs(), MapConfig("tsne"), tmp_path))
