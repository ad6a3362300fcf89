"use strict";
// Shows what the store says now: the server sends its revision, and the content is fetched again when it changes.

const main = () => document.getElementById("main");

async function load(element) {
  const answer = await fetch(element.dataset.load, { headers: { "X-Fragment": "1" } });
  const fragment = new DOMParser().parseFromString(await answer.text(), "text/html");
  element.replaceChildren(...fragment.body.childNodes);
}

function loadAll() {
  for (const element of document.querySelectorAll("[data-load]")) load(element);
}

async function refresh() {
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const fetched = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
  if (!fetched || main().contains(document.activeElement)) {
    document.getElementById("live").textContent = "there is something new: reload";
    return;
  }
  main().replaceWith(fetched);
  loadAll();
  document.getElementById("live").textContent = `updated ${new Date().toLocaleTimeString()}`;
}

loadAll();
const events = new EventSource("/events");
events.addEventListener("revision", (event) => {
  if (event.data !== main().dataset.revision) refresh();
});
window.addEventListener("pagehide", () => events.close());
