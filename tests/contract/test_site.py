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


def test_a_name_without_a_desk_gets_the_same_page_whatever_it_is(site: RealSite) -> None:
    answers = [site.get(name) for name in ("nobody", "eve", "xn--80ak6aa92e", "a-b", "ada-app")]
    for status, headers, body in answers:
        assert status == 404
        assert headers["Cache-Control"] == "no-store"
        assert "<title>" in body
        assert body == answers[0][2]


def test_the_bare_domain_welcomes_people(site: RealSite) -> None:
    status, _, body = site.get()
    assert status == 200
    assert "code.localhost" in body
    assert site.get(path="/other")[0] == 404


def test_the_pages_are_not_paths_of_a_workspace(site: RealSite) -> None:
    assert site.get(path="/.carrel/unavailable.html")[0] == 404
    # code-server's own answer to somebody who is not signed in.
    assert site.get("ada", "/404.html")[0] == 401
