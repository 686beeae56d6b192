"use strict";
(() => {
  const FIRST = 20;
  const states = new Map();

  function key(section) {
    const all = [...document.querySelectorAll("section.texts")];
    return section.dataset.kind + all.filter((one) => one.dataset.kind === section.dataset.kind).indexOf(section);
  }

  function show(section) {
    const state = states.get(key(section));
    const wanted = state.text.trim().toLowerCase();
    let found = 0;
    let shown = 0;
    for (const article of section.querySelectorAll("article")) {
      const fits = !wanted || article.textContent.toLowerCase().includes(wanted);
      found += fits;
      article.hidden = !fits || (!state.all && found > FIRST);
      shown += !article.hidden;
    }
    section.querySelector(".found").textContent = wanted ? `${found} found` : "";
    const button = section.querySelector("button");
    button.hidden = shown === found;
    button.textContent = `Show all ${found}`;
  }

  function attach() {
    for (const section of document.querySelectorAll("section.texts")) {
      const name = key(section);
      if (!states.has(name)) states.set(name, { text: "", all: false });
      const state = states.get(name);
      const input = section.querySelector("input");
      input.value = state.text;
      input.addEventListener("input", () => { state.text = input.value; show(section); });
      section.querySelector("button").addEventListener("click", () => { state.all = true; show(section); });
      show(section);
    }
  }

  attach();
  addEventListener("beforeprint", () => document.querySelectorAll("article").forEach((one) => { one.hidden = false; }));
  addEventListener("afterprint", () => document.querySelectorAll("section.texts").forEach(show));

  const live = document.getElementById("live");
  if (!live) return;
  const main = document.getElementById("body");
  let stamp = "";

  async function poll() {
    try {
      const answer = await fetch(`data${location.search}${location.search ? "&" : "?"}since=${encodeURIComponent(stamp)}`);
      const told = await answer.json();
      if (!answer.ok) throw new Error(told.error);
      live.textContent = told.said;
      if (told.body !== null && told.stamp !== stamp && !main.contains(document.activeElement)) {
        const open = [...main.querySelectorAll("details")].map((one) => one.open);
        main.innerHTML = told.body;
        main.querySelectorAll("details").forEach((one, n) => { if (n < open.length) one.open = open[n]; });
        stamp = told.stamp;
        attach();
      }
    } catch (error) {
      live.textContent = `not reached just now: ${error.message}`;
    }
    setTimeout(poll, 2000);
  }
  poll();
})();
