"use strict";
document.querySelectorAll(".find select").forEach((select) => {
  select.addEventListener("change", () => select.form.requestSubmit());
});
