import os
import re
import time

from freeavatar.animations import animations_folder, find_animation, make_animation, prune_animations


def aged(folder, days):
    """The folder with everything in it ``days`` old."""
    when = time.time() - days * 86400
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (when, when))
    return folder


def test_old_runs_go_and_everything_else_stays(user_home):
    old, young, used = make_animation(), make_animation(), make_animation()
    for run in (old, young, used):
        (run / "clip.mp4").write_bytes(b"x")
    aged(old, 31)
    aged(used, 31)
    (used / "later.csv").write_text("written yesterday")
    kept = [animations_folder() / "my own", user_home / "avatars" / "robin", user_home / "profiles" / "ada"]
    for folder in kept:
        folder.mkdir(parents=True)
        aged(folder, 400)
    assert prune_animations(30) == [old.name]
    assert not old.exists() and all(folder.exists() for folder in (young, used, *kept))
    assert prune_animations(30) == []


def test_a_link_in_the_place_of_a_run_is_left_alone(tmp_path, user_home):
    animations_folder().mkdir()
    (animations_folder() / "20200101-000000-abcdef").symlink_to(tmp_path)
    aged(tmp_path, 90)
    assert prune_animations(30) == [] and tmp_path.exists()


def test_a_run_is_found_by_its_name_alone(user_home):
    run = make_animation()
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{32}", run.name) and find_animation(run.name) == run
    for name in ("", ".", "..", "../avatars", "20200101-000000-abcdef", f"{run.name}/.."):
        assert find_animation(name) is None


def test_nothing_to_prune_is_no_error(user_home):
    assert prune_animations(0) == []
