"""What the pages' policy asks of templates and scripts, read out of the files themselves."""

import re

from prunescope.frontend import STATIC, TEMPLATES

PAGES = sorted(TEMPLATES.glob("**/*.html"))
SCRIPTS = sorted(STATIC.glob("js/**/*.js"))


def test_there_are_templates_and_scripts() -> None:
    assert len(PAGES) > 20 and len(SCRIPTS) > 20


def test_no_inline_script_or_style() -> None:
    """Files that are saved (``export``) have a style of their own; they are sent with `FILE_POLICY`."""
    for template in PAGES:
        if template.parent.name == "export":
            continue
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text), template.name
        for tag in re.findall(r"<script[^>]*>", text):
            assert "src=" in tag or 'type="application/json"' in tag, f"{template.name}: {tag}"


def test_nothing_is_marked_safe() -> None:
    for template in PAGES:
        assert not re.search(r"\|\s*safe|autoescape false", template.read_text(encoding="utf-8")), template.name


def test_addresses_come_from_the_server() -> None:
    for template in PAGES:
        text = template.read_text(encoding="utf-8")
        written = re.findall(r"""(?:href|src|action|data-href)="(?!\{\{|#|data:,)([^"]*)""", text)
        assert written == [], f"{template.name}: {written}"
        for anchor in re.findall('href="#([^"]*)"', text):  # within the page
            assert any(f'id="{anchor}"' in each.read_text(encoding="utf-8") for each in PAGES), (
                f"{template.name}: {anchor}"
            )
    for script in SCRIPTS:
        assert not re.search(r"""["'`]/(api|jobs|attributions|studies|s)/""", script.read_text(encoding="utf-8")), (
            script.name
        )


def test_every_imported_script_is_there() -> None:
    for script in SCRIPTS:
        for name in re.findall(r'(?:from|import) "(\.[^"]+)"', script.read_text(encoding="utf-8")):
            assert (script.parent / name).is_file(), f"{script.name} imports {name}"


def test_scripts_put_text_not_markup() -> None:
    for script in SCRIPTS:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script.read_text("utf-8")
        ), script


def test_colours_have_a_dark_twin() -> None:
    css = (STATIC / "css/prunescope.css").read_text(encoding="utf-8")
    light, dark = (set(re.findall(r"--([a-z-]+):", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)[:2])
    assert dark <= light
    assert {"paper", "surface", "ink", "heat", "loss", "gain", "accent", "loss-text", "end"} <= dark
