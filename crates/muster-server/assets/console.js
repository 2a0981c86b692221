// What the console does beyond htmx: colours without a reload, copying, the live stream, and a voice for screen readers.
// Every page works without it.
"use strict";

(() => {
  const root = document.documentElement;

  // --- colours: the form works without script; with it the change is instant. The server reads the same cookie.
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form.themes");
    const theme = event.submitter?.value;
    if (!form || !theme) return;
    event.preventDefault();
    root.dataset.theme = theme;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `muster_theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === theme));
  });

  // --- a voice: what changed, in one sentence, only when it changed.
  let said = "";
  const say = (sentence) => {
    const announcer = document.getElementById("announcer");
    if (!announcer || !sentence || sentence === said) return;
    said = sentence;
    announcer.textContent = sentence;
  };

  // --- copying
  const dress = (within) => {
    for (const button of within.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const text = button.parentElement.querySelector("code").textContent;
    await navigator.clipboard.writeText(text);
    const words = button.querySelector("span");
    words.textContent = "Copied";
    say("Copied");
    setTimeout(() => { words.textContent = "Copy"; }, 2000);
  });

  // --- "/" goes to the search, as in many tools
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    (document.getElementById("search") ?? document.getElementById("find"))?.focus();
  });

  // --- refreshes keep what the reader opened, and wait while somebody types
  const opened = new Set();
  document.addEventListener("htmx:beforeSwap", (event) => {
    opened.clear();
    for (const details of event.detail.target.querySelectorAll("details[open][id]")) opened.add(details.id);
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    opened.clear();
    dress(document);
    say(document.querySelector("#live[data-announce], #list[data-announce]")?.dataset.announce);
    found();
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    const busy = event.target.matches?.("[data-keep-while-editing]")
      && (event.target.contains(document.activeElement) && document.activeElement.matches("input")
        || event.target.querySelector("details[open]"));
    if (busy) event.preventDefault();
  });

  // --- when the session ended or the server is away, say so instead of showing old figures as if they were new
  const lost = (sentence) => {
    if (document.querySelector(".lost")) return;
    const banner = document.createElement("div");
    banner.className = "banner warn lost";
    banner.setAttribute("role", "alert");
    const text = document.createElement("p");
    text.textContent = sentence;
    banner.append(text);
    document.body.append(banner);
  };
  const found = () => document.querySelector(".lost")?.remove();
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 401) location.reload();
    else lost(`The site refused to answer (${event.detail.xhr.status}). What you see may be old.`);
  });
  document.addEventListener("htmx:sendError", () => lost("The site does not answer. What you see may be old."));

  // --- the live stream says only what kind of thing changed; the parts of the page that care ask for themselves again.
  // A hidden tab has none: browsers allow six connections to one address, and somebody has ten tabs open.
  let stream;
  // At most one look in two seconds for each kind, and always one after the last notice: a busy site sends a thousand a second.
  const looked = new Map();
  const waiting = new Set();
  const look = (name) => {
    if (waiting.has(name)) return;
    waiting.add(name);
    setTimeout(() => {
      waiting.delete(name);
      looked.set(name, Date.now());
      htmx.trigger(document.body, name);
    }, Math.max(0, (looked.get(name) ?? 0) + 2000 - Date.now()));
  };
  const changed = (kind) => { look(`muster-${kind}`); look("muster-changed"); };
  const hush = () => { stream?.close(); stream = undefined; };
  const listen = () => {
    const address = document.body.dataset.events;
    if (!address || !window.EventSource || document.hidden || stream) return;
    stream = new EventSource(address);
    for (const kind of ["device", "deployment", "enrolment", "message"]) stream.addEventListener(kind, () => changed(kind));
    stream.addEventListener("error", async () => {
      if (stream?.readyState !== EventSource.CLOSED) return;
      hush();
      const answer = await fetch(location.href, { headers: { "HX-Request": "true" } }).catch(() => undefined);
      if (answer?.status === 401) location.reload();
      else setTimeout(listen, 10000);
    });
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return hush();
    listen();
    // What was missed while nobody looked.
    for (const kind of ["device", "deployment", "enrolment", "message"]) changed(kind);
  });
  window.addEventListener("pagehide", hush);
  window.addEventListener("pageshow", listen);

  dress(document);
  listen();
})();
