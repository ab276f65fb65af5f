"""What people do with sites in the console, page by page."""

import io
import json
import re
from html import unescape
from pathlib import Path

import pytest
from console_person import Person, token_in, words
from helpers import Admin, assert_success, zip_of

SITE = "/_admin/sites/default/blog"


@pytest.fixture
def versions(admin: Admin, person: Person) -> list[str]:
    """Three versions of the site, the oldest first."""
    return [str(admin.deployed({"index.html": f"v{number}"})["id"]) for number in range(3)]


def upload_address(person: Person, but: str = "") -> str:
    page = person.get(SITE).text
    return unescape(str(re.search(rf'action="([^"]*/deploy\?[^"]*{but})"', page)[1]))  # type: ignore[index]


def values_of(page: str) -> dict[str, str]:
    """What a form on a page would send as it is."""
    values = {
        unescape(name): unescape(value)
        for name, value in re.findall(r'<input [^>]*name="([^"]+)"[^>]* value="([^"]*)"', page)
    }
    for name, inside in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', inside)
        values[name] = chosen[1] if chosen else ""
    for name, inside in re.findall(r'<textarea name="([^"]+)"[^>]*>(.*?)</textarea>', page, re.DOTALL):
        values[name] = unescape(inside)
    flags = re.findall(r'<input type="checkbox"[^>]* name="([^"]+)"( checked)?', page)
    return values | {name: "on" for name, checked in flags if checked}


@pytest.mark.parametrize("host", ["localhost:1323", "192.0.2.1", "[::1]", "[::1]:1323"])
def test_links_lead_to_the_port_that_was_asked_by_whatever_name_or_address(admin: Admin, host: str) -> None:
    person = Person(admin.client, f"http://{host}")
    person.sign_in()
    page = unescape(person.get(SITE).text)
    assert f'href="http://blog.localhost{":1323" * host.endswith(":1323")}/"' in page
    assert f"http://{host}/_api/sites/default/blog/deploy" in page


# --- The list, and new sites ------------------------------------------------------------------


def test_the_list_has_pages_and_can_be_searched(person: Person, admin: Admin) -> None:
    for number in range(25):
        admin.create(f"site-{number:02}", f"name-{number:02}.example.com", aliases=[f"other-{number:02}.example.org"])
    page = words(person.get("/_admin/sites").text)
    assert "27 sites" in page
    assert "Page 1 of 2" in page
    assert "site-24" not in page
    assert "site-24" in person.get("/_admin/sites?page=2").text
    for wanted in ("site-24", "SITE-24", "name-24", "other-24.example", "default/site-24"):
        found = words(person.get("/_admin/sites", query_string={"q": wanted}).text)
        assert "1 site found" in found, wanted
        assert "site-24" in found
    assert "No site matches" in person.get("/_admin/sites?q=nothing").text


@pytest.mark.parametrize("number", ["0", "99", "-1", "x", "", "9" * 30])
def test_an_odd_page_number_is_one_that_there_is(person: Person, number: str) -> None:
    answer = person.get(f"/_admin/sites?page={number}")
    assert answer.status_code == 200
    assert "blog.localhost" in answer.text


def test_a_record_that_cannot_be_read_can_be_deleted(person: Person, data: Path) -> None:
    (data / "registry/default/blog.json").write_text("{")
    page = person.get("/_admin/sites").text
    assert "Damaged" in page
    assert f'href="{SITE}/delete"' in page
    assert person.get(SITE).status_code == 500
    assert person.post(f"{SITE}/delete", typed="blog").status_code == 303
    assert "Damaged" not in person.get("/_admin/sites").text


@pytest.mark.parametrize(
    ("fields", "status", "at"),
    [
        ({"id": "a b"}, 400, "id"), ({"id": ""}, 400, "id"), ({"id": "blog"}, 409, "id"),
        ({"domain": "blog.localhost"}, 409, "domain"), ({"domain": "http://x"}, 400, "domain"),
        ({"username": "../x"}, 400, "username"),
    ],
)  # fmt: skip
def test_a_site_that_cannot_be_made_is_told_at_its_field(
    person: Person, fields: dict[str, str], status: int, at: str
) -> None:
    typed = {"id": "new", "domain": "new.localhost", "username": "default"} | fields
    answer = person.post("/_admin/new-site", **typed)
    assert answer.status_code == status
    field = re.search(r'<input name="([^"]+)"[^>]*aria-invalid="true" aria-describedby="problem-([^"]+)"', answer.text)
    assert field
    assert field.groups() == (at, at)
    assert answer.text.count('role="alert"') == 1  # There, and nowhere else.
    assert "Field " not in answer.text  # The names that the API has for them are no labels of the form.
    assert values_of(answer.text)["domain"] == typed["domain"]


# --- A new version ----------------------------------------------------------------------------


def test_an_archive_is_published_by_a_plain_form(person: Person, admin: Admin) -> None:
    form = {"file": (io.BytesIO(zip_of({"sub/index.html": "hello"})), "site.zip"), "root": ""}
    answer = person.call("POST", upload_address(person), data=form)
    assert answer.headers["Location"] == SITE
    page = words(person.follow(answer))
    assert "The new version is live" in page
    assert "sub" in page  # The warning: its index is in a folder.
    assert "The new version is live" not in words(person.get(SITE).text)
    assert admin.visit("/sub/").text == "hello"


def test_a_version_can_be_stored_and_not_go_live(person: Person, admin: Admin) -> None:
    form = {"file": (io.BytesIO(zip_of({"index.html": "later"})), "site.zip")}
    answer = person.call("POST", upload_address(person) + "&activate=false", data=form)
    assert "stored and not live" in words(person.follow(answer))
    assert admin.visit().status_code == 404


def test_the_script_gets_the_apis_own_answers(person: Person, admin: Admin) -> None:
    person.speak("zh")
    headers = {"Accept": "application/json", "X-CSRF-Token": token_in(person.get(SITE).text)}
    address = f"{SITE}/deploy"
    good = {"file": (io.BytesIO(zip_of({"index.html": "hello"})), "site.zip")}
    assert_success(person.call("POST", address, data=good, headers=headers), message="站点已部署")
    bad = {"file": (io.BytesIO(b"rubbish"), "site.zip")}
    answer = person.call("POST", address, data=bad, headers=headers)
    assert (answer.status_code, json.loads(answer.data)["success"]) == (400, False)
    assert "解压 zip 失败" in json.loads(answer.data)["message"]
    nobody = Person(person.client)
    answer = nobody.call("POST", address, data={}, headers=headers)
    assert (answer.status_code, answer.mimetype) == (401, "application/json")
    assert admin.visit().text == "hello"


@pytest.mark.parametrize("name", ["site.rar", "", "site.zip"])
def test_a_refused_upload_is_a_page_with_the_reason(person: Person, name: str) -> None:
    person.speak("zh")
    answer = person.call("POST", upload_address(person), data={"file": (io.BytesIO(b"rubbish"), name)})
    assert answer.status_code == 400
    assert re.search("不支持的文件格式|缺少文件|解压 zip 失败", answer.text)
    assert f'href="{SITE}"' in answer.text


def test_the_token_in_an_address_is_for_that_address_alone(person: Person, admin: Admin) -> None:
    admin.create("other")
    address = upload_address(person).replace("/blog/", "/other/")
    form = {"file": (io.BytesIO(zip_of({"index.html": "x"})), "site.zip")}
    assert person.call("POST", address, data=form).status_code == 403
    token = upload_address(person).partition("csrf=")[2]
    assert person.call("POST", f"{SITE}/delete", data={"csrf": token, "typed": "blog"}).status_code == 403


# --- Versions ---------------------------------------------------------------------------------


def test_the_history_marks_what_is_current(person: Person, versions: list[str]) -> None:
    page = person.get(SITE).text
    assert "3 versions" in words(page)
    current = re.findall(r'<li class="is-current" aria-current="true">.*?checkpoints/([^"]+)"', page, re.DOTALL)
    assert current == [versions[2]]
    assert f"{versions[2]}/checkout" not in page


def test_one_click_goes_back(person: Person, admin: Admin, versions: list[str]) -> None:
    answer = person.post(f"{SITE}/checkpoints/{versions[0]}/checkout", form_on=SITE)
    assert f"{versions[0]} is live" in words(person.follow(answer))
    assert admin.visit().text == "v0"


def test_a_switch_on_trial_waits_for_its_confirmation(person: Person, admin: Admin, versions: list[str]) -> None:
    own = f"{SITE}/checkpoints/{versions[0]}"
    page = person.follow(person.post(f"{own}/checkout", form_on=own, confirm_within="300"))
    assert f"{versions[2]} comes back by itself" in words(page)
    assert "confirmation" in admin.checkpoints()
    assert "Confirmed" in person.follow(person.post(f"{own}/confirm", form_on=SITE))
    assert "confirmation" not in admin.checkpoints()
    assert person.post(f"{own}/confirm", form_on=SITE).status_code == 409


def test_a_time_is_one_that_people_elsewhere_can_read_too(person: Person, admin: Admin, versions: list[str]) -> None:
    made = admin.checkpoints()["checkpoints"][-1]["created_at"]
    assert made.replace("T", " ") in words(person.get(f"{SITE}/checkpoints/{versions[0]}").text)


@pytest.mark.parametrize("typed", ["x", "-1", "0", "99999999", "9" * 5000])
def test_an_odd_time_for_a_trial_changes_nothing(person: Person, admin: Admin, versions: list[str], typed: str) -> None:
    own = f"{SITE}/checkpoints/{versions[0]}"
    assert person.post(f"{own}/checkout", form_on=own, confirm_within=typed).status_code == 400
    assert admin.checkpoints()["current"] == versions[2]


def test_a_plan_is_shown_and_can_be_cancelled(person: Person, admin: Admin, versions: list[str]) -> None:
    admin.post(f"/_api/sites/default/blog/checkpoints/{versions[0]}/checkout?at=2026-12-01T00:00:00Z")
    assert "A switch is planned" in person.get(SITE).text
    person.post(f"{SITE}/plan/cancel", form_on=SITE)
    assert "plan" not in admin.checkpoints()


def test_a_pinned_version_is_not_offered_for_deletion(person: Person, admin: Admin, versions: list[str]) -> None:
    own = f"{SITE}/checkpoints/{versions[0]}"
    assert f'action="{own}/delete"' in person.get(own).text
    page = person.follow(person.post(f"{own}/pin", form_on=own, pinned="true"))
    assert f'action="{own}/delete"' not in page
    assert person.post(f"{own}/delete", form_on=own).status_code == 409
    person.post(f"{own}/pin", form_on=own, pinned="false")
    assert person.post(f"{own}/delete", form_on=own).status_code == 303
    assert [each["id"] for each in admin.checkpoints()["checkpoints"]] == versions[:0:-1]
    assert person.post(f"{own}/pin", form_on=SITE, pinned="maybe").status_code == 400


def test_the_current_version_says_why_it_cannot_be_deleted(person: Person, versions: list[str]) -> None:
    page = words(person.get(f"{SITE}/checkpoints/{versions[2]}").text)
    assert "make another one live first" in page


def test_a_preview_link_is_shown_once_and_works(person: Person, admin: Admin, versions: list[str]) -> None:
    own = f"{SITE}/checkpoints/{versions[0]}"
    page = person.follow(person.post(f"{own}/preview", form_on=own))
    link = re.search(r'<a href="http://blog.localhost(/.preview/[^"]+)"', page)
    assert link
    assert admin.visit(link[1]).status_code == 302
    assert link[1] not in person.get(own).text
    assert "It can be previewed until" in person.get(own).text
    person.post(f"{SITE}/previews/revoke", form_on=SITE)
    assert admin.visit(link[1]).status_code == 404


def test_a_checkpoint_is_made_by_hand(person: Person, admin: Admin, data: Path, versions: list[str]) -> None:
    person.post(f"{SITE}/checkpoints", form_on=SITE, description="before the fair")
    assert admin.checkpoints()["checkpoints"][0]["description"] == "before the fair"
    admin.create("bare")
    bare = "/_admin/sites/default/bare"
    assert person.post(f"{bare}/checkpoints", form_on=bare, description="").status_code == 409


def test_two_versions_are_compared(person: Person, admin: Admin, versions: list[str]) -> None:
    admin.deployed({"index.html": "v2", "new.html": "n"})
    page = words(person.get(f"{SITE}/diff").text)
    assert "Added 1 new.html" in page
    assert "Changed 0" in page
    asked = {"before": versions[0], "after": versions[1]}
    assert "Changed 1 index.html" in words(person.get(f"{SITE}/diff", query_string=asked).text)
    assert person.get(f"{SITE}/diff?before=x&after=y").status_code == 404


def test_an_address_is_explained(person: Person, admin: Admin) -> None:
    admin.deployed({"index.html": "x", "_redirects": "/old /new 301\n"})
    page = words(person.get(f"{SITE}/explain?url=/old").text)
    assert "_redirects:1" in page
    assert "/old /new 301" in page
    answer = person.get(f"{SITE}/explain", query_string={"url": "http://elsewhere.example/"})
    assert answer.status_code == 400
    assert 'aria-describedby="problem-url"' in answer.text


def test_pruning_is_tried_first_and_does_what_it_said(person: Person, admin: Admin, versions: list[str]) -> None:
    page = words(person.get(f"{SITE}/prune?count=2").text)
    assert "1 version would go" in page
    assert versions[0] in page
    assert len(admin.checkpoints()["checkpoints"]) == 3
    person.post(f"{SITE}/prune", form_on=f"{SITE}/prune?count=2", count="2", days="", bytes="")
    assert [each["id"] for each in admin.checkpoints()["checkpoints"]] == versions[:0:-1]
    assert person.get(f"{SITE}/prune?count=x").status_code == 400


def test_pruning_takes_a_size_as_people_type_it(person: Person, admin: Admin, versions: list[str]) -> None:
    admin.put("/_api/sites/default/blog", json={"retention": {"bytes": 500_000_000}})
    assert 'placeholder="500 MB"' in person.get(f"{SITE}/prune").text
    page = person.get(f"{SITE}/prune?bytes=0.001+kB").text
    assert "2 versions would go" in words(page)
    assert 'type="hidden" name="bytes" value="0.001 kB"' in page
    person.post(f"{SITE}/prune", form_on=f"{SITE}/prune?bytes=0.001+kB", bytes="0.001 kB")
    assert [each["id"] for each in admin.checkpoints()["checkpoints"]] == [versions[2]]


@pytest.mark.parametrize("query", ["bytes=lots", "count=x", "days=-1"])
def test_a_limit_that_cannot_be_is_told_at_its_field(person: Person, versions: list[str], query: str) -> None:
    answer = person.get(f"{SITE}/prune?{query}")
    assert answer.status_code == 400
    name, _, typed = query.partition("=")
    assert re.findall(r'name="([^"]+)"[^>]*aria-invalid="true"', answer.text) == [name]
    assert f'value="{typed}"' in answer.text
    assert answer.text.count('role="alert"') == 1


def test_pruning_by_a_size_that_is_none_prunes_nothing(person: Person, admin: Admin, versions: list[str]) -> None:
    assert person.post(f"{SITE}/prune", form_on=f"{SITE}/prune?count=1", bytes="lots").status_code == 400
    assert len(admin.checkpoints()["checkpoints"]) == 3


# --- Settings, and the end --------------------------------------------------------------------


def test_settings_that_are_saved_as_they_are_change_nothing(person: Person, admin: Admin) -> None:
    settings = {
        "aliases": ["*.blog.example", "www.blog.example"], "alias_mode": "serve", "clean_urls": True, "spa": True,
        "trailing_slash": "never", "not_found": "errors/404.html", "cache": {"html": 60, "assets": 3600, "hashed": 0},
        "retention": {"count": 5, "bytes": 123_456_789}, "locked": True, "index": "start.html",
    }  # fmt: skip
    before = assert_success(admin.put("/_api/sites/default/blog", json=settings))
    answer = person.call("POST", f"{SITE}/settings", data=values_of(person.get(f"{SITE}/settings").text))
    assert answer.status_code == 303
    after = assert_success(admin.get("/_api/sites/default/blog"))
    assert {**after, "updated_at": ""} == {**before, "updated_at": ""}


def test_settings_are_changed(person: Person, admin: Admin) -> None:
    form = values_of(person.get(f"{SITE}/settings").text)
    del form["enabled"]
    form |= {"domain": " new.example.com ", "aliases": "a.example\r\n\r\nb.example\n", "cache.html": "60",
             "retention.count": "7", "spa": "on"}  # fmt: skip
    assert person.call("POST", f"{SITE}/settings", data=form).status_code == 303
    site = assert_success(admin.get("/_api/sites/default/blog"))
    assert (site["enabled"], site["domain"], site["aliases"]) == (False, "new.example.com", ["a.example", "b.example"])
    assert (site["cache"]["html"], site["retention"]["count"], site["spa"]) == (60, 7, True)


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"domain": "localhost"}, "domain"), ({"domain": "x:80"}, "domain"), ({"index": "a/b"}, "index"),
        ({"aliases": "blog.localhost"}, "aliases"), ({"cache.html": "-5"}, "cache.html"),
        ({"retention.days": "many"}, "retention.days"), ({"not_found": "/x"}, "not_found"),
        ({"alias_mode": "both"}, "alias_mode"), ({"retention.bytes": "lots"}, "retention.bytes"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_told_at_its_field(
    person: Person, admin: Admin, changes: dict[str, str], at: str
) -> None:
    before = assert_success(admin.get("/_api/sites/default/blog"))
    form = values_of(person.get(f"{SITE}/settings").text) | changes
    answer = person.call("POST", f"{SITE}/settings", data=form)
    assert answer.status_code in (400, 409)
    assert re.findall(r'name="([^"]+)"[^>]*aria-invalid="true"', answer.text) == [at]
    assert assert_success(admin.get("/_api/sites/default/blog")) == before


def test_a_limit_is_typed_and_shown_as_a_size(person: Person, admin: Admin) -> None:
    form = values_of(person.get(f"{SITE}/settings").text) | {"retention.bytes": " 1.5gb "}
    assert person.call("POST", f"{SITE}/settings", data=form).status_code == 303
    assert assert_success(admin.get("/_api/sites/default/blog"))["retention"]["bytes"] == 1_500_000_000
    assert values_of(person.get(f"{SITE}/settings").text)["retention.bytes"] == "1.5 GB"


@pytest.mark.parametrize(("language", "said"), [("en", "yours are not saved"), ("zh", "您的更改没有保存")])
def test_settings_that_another_has_saved_meanwhile_are_not_overwritten(
    person: Person, admin: Admin, language: str, said: str
) -> None:
    form = values_of(person.get(f"{SITE}/settings").text) | {"index": "mine.html"}
    theirs = {"index": "theirs.html", "aliases": ["theirs.example"], "spa": True}
    before = assert_success(admin.put("/_api/sites/default/blog", json=theirs))
    person.speak(language)
    answer = person.call("POST", f"{SITE}/settings", data=form)
    assert answer.status_code == 412
    assert said in words(answer.text)
    for shown in ("theirs.html", "theirs.example"):
        assert shown in words(answer.text)
    typed = values_of(answer.text)
    assert {**typed, "version": form["version"]} == form
    assert assert_success(admin.get("/_api/sites/default/blog")) == before
    # Who has seen what the other has saved may mean it.
    assert person.call("POST", f"{SITE}/settings", data=typed).status_code == 303
    after = assert_success(admin.get("/_api/sites/default/blog"))
    assert (after["index"], after["aliases"], after["spa"]) == ("mine.html", [], False)


def test_a_record_that_was_changed_by_hand_is_not_overwritten_either(person: Person, data: Path) -> None:
    form = values_of(person.get(f"{SITE}/settings").text)
    record = data / "registry/default/blog.json"
    by_hand = record.read_text().replace("index.html", "by-hand.html")
    record.write_text(by_hand)
    assert person.call("POST", f"{SITE}/settings", data=form).status_code == 412
    assert record.read_text() == by_hand


@pytest.mark.parametrize("version", [None, "", "x"])
def test_a_form_that_does_not_say_what_it_was_made_from_saves_nothing(
    person: Person, admin: Admin, version: str | None
) -> None:
    form = values_of(person.get(f"{SITE}/settings").text) | {"index": "mine.html"}
    del form["version"]
    answer = person.call("POST", f"{SITE}/settings", data=form | ({} if version is None else {"version": version}))
    assert answer.status_code == 412
    assert assert_success(admin.get("/_api/sites/default/blog"))["index"] == "index.html"


def test_another_mistake_does_not_hide_that_somebody_was_quicker(person: Person, admin: Admin) -> None:
    form = values_of(person.get(f"{SITE}/settings").text) | {"index": "a/b"}
    admin.put("/_api/sites/default/blog", json={"spa": True})
    refused = person.call("POST", f"{SITE}/settings", data=form)
    assert refused.status_code == 400
    again = values_of(refused.text) | {"index": "mine.html"}
    assert person.call("POST", f"{SITE}/settings", data=again).status_code == 412


def test_a_version_going_live_is_no_change_of_the_settings(person: Person, admin: Admin) -> None:
    form = values_of(person.get(f"{SITE}/settings").text)
    admin.deployed({"index.html": "new"})
    assert person.call("POST", f"{SITE}/settings", data=form).status_code == 303


def test_a_site_goes_only_when_its_id_is_typed(person: Person, admin: Admin) -> None:
    for typed in ("", "Blog", "blog ", "default/blog"):
        answer = person.post(f"{SITE}/delete", typed=typed)
        assert answer.status_code == 400
        assert "nothing was changed" in words(answer.text)
    assert admin.get("/_api/sites/default/blog").status_code == 200
    assert "default/blog is deleted" in words(person.follow(person.post(f"{SITE}/delete", typed="blog")))
    assert admin.get("/_api/sites/default/blog").status_code == 404


def test_the_reference_shows_every_call(person: Person) -> None:
    page = person.get("/_admin/reference").text
    document = json.loads(person.get("/_admin/reference/openapi.json").data)
    for path, item in document["paths"].items():
        assert path in unescape(page)
        for operation in (item[method] for method in item if method in ("get", "post", "put", "delete")):
            assert operation["summary"] in unescape(page)
