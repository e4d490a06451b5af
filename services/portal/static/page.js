// Live parts of a page, buttons with a countdown, a warning about unsaved input, large type, calendars.

// <div data-live="/path" data-every="seconds">: replaced by the response of that path if it differs (screen readers
// announce a replacement), until it contains data-done.
for (const part of document.querySelectorAll("[data-live]")) {
  const again = async () => {
    const answer = await fetch(part.dataset.live, { headers: { Accept: "text/html" } }).catch(() => null);
    if (answer?.redirected || answer?.status === 204) return;
    const used = part.contains(document.activeElement); // don't remove the focused element
    if (answer?.ok && !used) {
      const fresh = document.createElement("template");
      fresh.innerHTML = await answer.text();
      if (fresh.innerHTML !== part.innerHTML) part.replaceChildren(fresh.content);
    }
    if (part.querySelector("[data-done]")) return;
    setTimeout(again, part.dataset.every * 1000);
  };
  setTimeout(again, part.dataset.every * 1000);
}

// <button data-countdown="seconds">: disabled until then.
for (const button of document.querySelectorAll("[data-countdown]")) {
  const text = button.textContent;
  const ends = Date.now() + button.dataset.countdown * 1000;
  const tick = () => {
    const left = Math.ceil((ends - Date.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? `${left} 秒后可${text}` : text;
    if (left > 0) setTimeout(tick, 500);
  };
  tick();
}

// <form data-asks>: warns before it is left with unsaved input; data-asks="unsaved": it was filled from unsaved input.
let unsaved = document.querySelector("[data-asks=unsaved]") !== null;
addEventListener("input", (event) => {
  if (event.target.form?.matches("[data-asks]")) unsaved = true;
});
addEventListener("submit", (event) => {
  if (event.target.matches("[data-asks]")) unsaved = false;
});
addEventListener("beforeunload", (event) => {
  if (!unsaved) return;
  event.preventDefault();
  event.returnValue = "";
});

// Switch large type without reloading, which would lose typed text.
document.querySelector("[action='/large']").addEventListener("submit", (event) => {
  event.preventDefault();
  fetch("/large", { method: "POST", body: new URLSearchParams(new FormData(event.target)), redirect: "manual", keepalive: true });
  event.submitter.textContent = document.documentElement.classList.toggle("large") ? "标准字号" : "大字版";
});

// A date that may be left open: typing one unchecks 至今.
for (const box of document.querySelectorAll("input[type=checkbox][name$=_open]")) {
  const day = document.getElementById(box.id.replace(/_open$/, ""));
  day.addEventListener("input", () => { if (day.value) box.checked = false; });
}

// <input data-day>: a button opens the browser's calendar, and the chosen day is copied.
for (const day of "showPicker" in HTMLInputElement.prototype ? document.querySelectorAll("[data-day]") : []) {
  const row = Object.assign(document.createElement("span"), { className: "row" });
  const button = Object.assign(document.createElement("button"), { type: "button", className: "button plain", textContent: "日历" });
  const calendar = Object.assign(document.createElement("input"), { type: "date", className: "unseen", tabIndex: -1 });
  calendar.setAttribute("aria-hidden", "true");
  button.title = `选择${day.labels[0].firstChild.data}`;
  button.addEventListener("click", () => {
    calendar.value = day.value; // other notations leave it empty
    calendar.showPicker();
  });
  calendar.addEventListener("change", () => {
    day.value = calendar.value;
    day.dispatchEvent(new Event("input", { bubbles: true }));
  });
  day.replaceWith(row);
  row.append(day, button, calendar);
}
