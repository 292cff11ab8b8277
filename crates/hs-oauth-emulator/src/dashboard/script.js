"use strict";
// The page works without this. It adds requests to the journal as they come, refreshes what they change, and counts times down.
(() => {
  const journal = document.getElementById("journal");
  const live = document.getElementById("live");
  const refreshed = ["accounts-list", "clock-now", "rules-now", "faults-list"];
  let loaded = performance.now();
  let refresh = 0;

  const words = (seconds) => {
    const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
    if (seconds < 60) return `${seconds} s`;
    if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
    if (hours < 24) return `${hours} h ${minutes % 60} min`;
    return `${days} d ${hours % 24} h`;
  };
  setInterval(() => {
    const passed = Math.floor((performance.now() - loaded) / 1000);
    for (const time of document.querySelectorAll("time[data-left]")) {
      const left = Number(time.dataset.left) - passed;
      time.textContent = left > 0 ? words(left) : "expired";
    }
  }, 1000);

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const row = (entry) => {
    const item = document.createElement("li");
    if (entry.status === undefined || entry.status >= 400) item.className = "failed";
    const at = new Date(entry.at).toISOString().replace(".000Z", "Z");
    const details = [
      entry.operation && entry.operation.replaceAll("_", " "),
      entry.hub_id && `account ${entry.hub_id}`,
      entry.reason,
    ].filter(Boolean).join(" \u00b7 ");
    item.append(element("time", at.split("T")[1], { datetime: at }), " ",
      element("strong", entry.status ?? "no response"), " ", element("code", `${entry.method} ${entry.path}`));
    if (details) item.append(element("span", details, { class: "quiet" }));
    return item;
  };

  const update = async () => {
    refresh = 0;
    const response = await fetch(location.pathname + location.search);
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const id of refreshed) {
      const old = document.getElementById(id), fresh = page.getElementById(id);
      // What somebody is about to press stays where it is.
      if (old && fresh && !old.contains(document.activeElement)) old.replaceWith(fresh);
    }
    loaded = performance.now();
  };
  const changed = () => { refresh = refresh || setTimeout(() => update().catch(() => {}), 300); };

  const events = new EventSource(`/_emulator/events?after=${journal.dataset.newest}`);
  events.onopen = () => { live.textContent = "Live"; };
  events.onerror = () => { live.textContent = "The connection is lost"; };
  events.addEventListener("request", (event) => {
    document.getElementById("no-requests")?.remove();
    journal.prepend(row(JSON.parse(event.data)));
    while (journal.children.length > 50) journal.lastElementChild.remove();
    changed();
  });
  events.addEventListener("change", changed);
})();
