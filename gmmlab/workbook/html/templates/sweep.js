// Make the table sortable and searchable. Without scripts, it is a plain table with all rows.
const source = document.getElementById("datatables").textContent;
import(URL.createObjectURL(new Blob([source], { type: "text/javascript" }))).then(
  ({ default: DataTable }) => new DataTable("table.sweep", {
    paging: false,
    order: [],
    autoWidth: false,
    language: { info: "_TOTAL_ runs", infoEmpty: "No runs", infoFiltered: "of _MAX_", search: "Search" },
    layout: { topStart: "info", topEnd: "search", bottomStart: null, bottomEnd: null },
  }),
);
