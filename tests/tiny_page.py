"""An HTML page, taken apart."""

from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """What a page holds: elements in order, tables as rows of texts, and what is not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.elements, self.tables = [], [], [], {}
        self.feed(text)
        self.close()
        self.wrong += self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._caption, self._rows = "", []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)
        if tag == "table":
            assert self._caption not in self.tables or self.tables[self._caption] == self._rows
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        if "caption" in self.open:
            self._caption += data
        elif "td" in self.open or "th" in self.open:
            self._rows[-1][-1] += f" {data.strip()}" if "small" in self.open else data

    def all(self, *tags):
        return [found for tag, found in self.elements if tag in tags]

    def row(self, caption, title):
        return next(row for row in self.tables[caption] if row[0] == title)
