/* Tables of the atlases by a click on a column's head: by the first number of each cell, as in
   "× 0.66 (better)", where every cell has one or is empty; else as text, in which numbers count. */
document$.subscribe(() => {
  const value = (row, column) => row.cells[column]?.textContent.trim() ?? "";
  // No part of a name (float32) or of a version (3.15.1), which are text.
  const NUMBER = /(?<![\w.])[-+−]?(\d[\d,]*\.?\d*|\.\d+)(e[-+]?\d+)?(?![.\d])/i;
  const number = (text) => {
    const found = text.match(NUMBER);
    return found ? parseFloat(found[0].replace(/,/g, "").replace("−", "-")) : NaN;
  };
  const asText = (a, b) => a.localeCompare(b, "en", { numeric: true });
  /** How two cells of a column compare. */
  const order = (texts) => {
    const told = texts.filter(Boolean);
    if (!told.length || told.some((text) => Number.isNaN(number(text)))) return asText;
    return (a, b) => (a && b ? number(a) - number(b) || asText(a, b) : asText(a, b));
  };
  for (const head of document.querySelectorAll("article table th")) {
    head.tabIndex = 0;
    head.style.cursor = "pointer";
    const sort = () => {
      const down = head.ariaSort === "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.ariaSort = down ? "descending" : "ascending";
      const body = head.closest("table").tBodies[0];
      const compare = order([...body.rows].map((row) => value(row, head.cellIndex)));
      const rows = [...body.rows].sort(
        (a, b) => (down ? -1 : 1) * compare(value(a, head.cellIndex), value(b, head.cellIndex)),
      );
      body.append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  }
});
