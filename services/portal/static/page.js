// Parts of a page that change by themselves, buttons that may be pressed only after a while, a menu that is too wide,
// what was typed and not sent.

// <div data-live="/where" data-every="seconds">: replaced by what is there when it differs (a screen reader reads what
// is replaced), until there is a data-done in it.
for (const part of document.querySelectorAll("[data-live]")) {
  const again = async () => {
    const answer = await fetch(part.dataset.live, { headers: { Accept: "text/html" } }).catch(() => null);
    if (answer?.redirected || answer?.status === 204) return;
    const used = part.contains(document.activeElement); // whoever reads on by keyboard is not thrown out
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

// <button data-countdown="seconds">
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

// On a phone the menu scrolls: the open item is in sight.
const menu = document.querySelector(".menu");
const open = menu?.querySelector("[aria-current]");
if (open) menu.scrollLeft = open.offsetLeft - menu.offsetLeft - 16;

// <form data-asks>: asks before it is left with what was changed in it; data-asks="unsaved": there is something already.
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

// Larger type at once: what is being typed stays.
document.querySelector("[action='/large']").addEventListener("submit", (event) => {
  event.preventDefault();
  fetch("/large", { method: "POST", body: new URLSearchParams(new FormData(event.target)), redirect: "manual", keepalive: true });
  event.submitter.textContent = document.documentElement.classList.toggle("large") ? "标准字号" : "大字版";
});

// A day that may be left open: whoever types one does not mean 至今 any more.
for (const box of document.querySelectorAll("input[type=checkbox][name$=_open]")) {
  const day = document.getElementById(box.id.replace(/_open$/, ""));
  day.addEventListener("input", () => { if (day.value) box.checked = false; });
}
