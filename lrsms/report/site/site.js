"use strict";
// Tables can be sorted by each of their columns. Without this script they are complete, in their own order.

const number = text => {
  const found = text.replace(/,/g, "").match(/^[<+]?(-?\d+(\.\d+)?(e[-+]?\d+)?)/i);
  return found ? Number(found[1]) : NaN;
};

const isEmpty = text => text === "" || text === "-";

// A column of numbers is sorted by their values, another by the alphabet; what is unknown comes last, whichever way.
const sort = (table, column, way) => {
  const body = table.tBodies[0];
  const rows = [...body.rows].map(row => [row.cells[column].textContent.trim(), row]);
  const known = rows.filter(([text]) => !isEmpty(text));
  const isNumeric = known.every(([text]) => !Number.isNaN(number(text)));
  const compare = isNumeric
    ? ([a], [b]) => way * (number(a) - number(b))
    : ([a], [b]) => way * a.localeCompare(b, "en", {numeric: true});
  const unknown = rows.filter(([text]) => isEmpty(text));
  body.append(...[...known.sort(compare), ...unknown].map(([, row]) => row));
};

for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const way = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headers.forEach(other => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      sort(table, column, way);
    });
  });
}

// A link to something that is folded away opens it.
const unfold = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
};
addEventListener("hashchange", unfold);
unfold();
