
(function () {
  "use strict";
  // the table comes sorted; with script its headings become buttons
  document.querySelectorAll("table.sortable").forEach(function (table) {
    var body = table.tBodies[0];
    table.querySelectorAll("thead th").forEach(function (head, place) {
      var button = document.createElement("button");
      button.type = "button";
      while (head.firstChild) button.appendChild(head.firstChild);
      head.appendChild(button);
      button.addEventListener("click", function () {
        var down = head.getAttribute("aria-sort") !== "descending";
        table.querySelectorAll("thead th").forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        Array.from(body.rows).sort(function (a, b) {
          return compare(a.cells[place].dataset.key, b.cells[place].dataset.key, head.dataset.kind, down);
        }).forEach(function (row) { body.appendChild(row); });
      });
    });
  });
  function compare(a, b, kind, down) {
    if (a === "" || b === "") return (a === "") - (b === "");  // missing numbers stay last
    var order = kind === "text" ? a.localeCompare(b) : Number(a) - Number(b);
    return down ? -order : order;
  }
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (part) { part.open = true; });
  });
})();
