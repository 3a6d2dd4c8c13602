// Keeps the page readable while it renews itself, and says so when it no longer can.
"use strict";

(() => {
  const shown = new WeakMap();
  let answeredAt = new Date();

  // A panel that says the same as before is left alone: a selection in it stays, and no reader is told it twice.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, serverResponse, xhr } = event.detail;
    if (xhr.status !== 200) return;
    if (shown.get(target) === serverResponse) event.detail.shouldSwap = false;
    else shown.set(target, serverResponse);
  });

  const lost = document.getElementById("lost");

  function answered() {
    answeredAt = new Date();
    lost.hidden = true;
  }

  function unanswered() {
    document.getElementById("lost-since").textContent = answeredAt.toISOString().slice(11, 19);
    lost.hidden = false;
  }

  document.addEventListener("htmx:afterRequest", (event) => (event.detail.successful ? answered() : unanswered()));
})();
