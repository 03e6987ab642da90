"""The page of a crate."""

from __future__ import annotations

from quadrat.exports.crate_preview import preview


def test_everything_is_escaped():
    bad = '<script>alert("x")</script>'
    graph = [
        {"@id": "./", "@type": "Dataset", "name": bad, "description": bad, "license": bad},
        {"@id": "a%22b", "@type": "File", "name": bad, "contentSize": "1", "sha256": "00"},
        {"@id": "#x", "@type": "CreativeWork", "name": bad, "contentSize": "1", "sha256": bad},
        {"@id": "#r", "@type": "CreateAction", "name": bad, "error": bad},
    ]
    page = preview(graph)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 9
    assert '<a href="a%22b">' in page
