/* Tables of the atlases by a click on a column's head: numbers as numbers, the rest as text. */
document$.subscribe(() => {
  const value = (row, column) => row.cells[column]?.textContent.trim() ?? "";
  const compare = (a, b) => {
    const [x, y] = [a, b].map((text) => parseFloat(text.replace(/,/g, "")));
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  for (const head of document.querySelectorAll("article table th")) {
    head.tabIndex = 0;
    head.style.cursor = "pointer";
    const sort = () => {
      const down = head.ariaSort === "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.ariaSort = down ? "descending" : "ascending";
      const body = head.closest("table").tBodies[0];
      const rows = [...body.rows].sort(
        (a, b) => (down ? -1 : 1) * compare(value(a, head.cellIndex), value(b, head.cellIndex)),
      );
      body.append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  }
});
