"""A real site from the command line's point of view."""

from sites import RealSite


def test_both_workspaces_answer_and_ask_for_a_password(site: RealSite) -> None:
    for user in ("ada", "ben"):
        status, headers, _ = site.get(user)
        assert status == 302
        assert headers["Location"].startswith("./login")
        status, _, body = site.get(user, "/login")
        assert status == 200
        assert "password" in body
