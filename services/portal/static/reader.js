// Reads a card from the agent on the clerk's machine (docs/card-reader.md), and fills in the form.
const section = document.querySelector("[data-reader]");
const button = section?.querySelector("button");
const status = section?.querySelector("[role=status]");
const entries = document.querySelector("#entries");

const SENTENCES = {
  404: "读卡机上没有证件，请放好证件后重试。",
  403: "读卡机程序不允许本网站读卡，请联系管理员。",
};

function fill(card) {
  const form = entries.querySelector("form");
  form.querySelector("[data-question]")?.remove(); // it concerned another card
  const values = { ...card, device_id: card.reader?.device_id };
  for (const control of form.elements) {
    if (!control.name || control.name === "csrf") continue;
    const value = values[control.name];
    if (control.type === "checkbox") control.checked = value === true;
    else control.value = value ?? "";
  }
  for (const entry of form.querySelectorAll("[data-entry]")) {
    const name = entry.dataset.entry;
    entry.hidden = name !== "name" && name !== "long_term" && !values[name];
  }
  const portrait = form.querySelector(".portrait");
  portrait.hidden = !card.portrait;
  if (card.portrait) portrait.src = `data:image/jpeg;base64,${card.portrait}`;
  entries.hidden = false;
}

async function read() {
  button.disabled = true;
  status.textContent = "正在读卡……";
  try {
    const answer = await fetch(`${section.dataset.reader}/card`, { cache: "no-store", credentials: "omit" });
    if (answer.ok) fill(await answer.json());
    status.textContent = answer.ok ? "已读卡，请核对后登记。" : SENTENCES[answer.status] ?? "读卡失败，请重试。";
  } catch {
    status.textContent = "没有找到读卡机程序，请确认它已在本机启动。";
  }
  button.disabled = false;
}

if (button) {
  button.hidden = false;
  button.addEventListener("click", read);
}
