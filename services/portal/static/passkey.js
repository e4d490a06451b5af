// <form data-passkey="create|get" data-options="…">: its button asks the browser for a passkey, and sends the response.
const form = document.querySelector("[data-passkey]");
const button = form?.querySelector("button");
const status = form?.querySelector("[role=status]");

const SENTENCES = {
  NotAllowedError: "已取消或超时，请重试。",
  InvalidStateError: "这台设备或这把安全密钥上已有本账号的通行密钥，不用再添加。",
  SecurityError: "当前网址不能使用通行密钥，请从系统的正式网址打开。",
  NotSupportedError: "这台设备不支持通行密钥。",
};

const base64url = { "-": "+", _: "/" };
const bytes = (text) => Uint8Array.from(atob(text.replace(/[-_]/g, (sign) => base64url[sign])), (sign) => sign.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

// Binary members of the options are base64url.
function decoded(options) {
  const ids = (list) => list?.map((one) => ({ ...one, id: bytes(one.id) }));
  const made = { ...options, challenge: bytes(options.challenge), excludeCredentials: ids(options.excludeCredentials) ?? [] };
  if (options.user) made.user = { ...options.user, id: bytes(options.user.id) };
  return made;
}

// As PublicKeyCredential.toJSON(), which older browsers lack.
function encoded({ id, type, response }) {
  const names = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const given = names.filter((name) => response[name]).map((name) => [name, text(response[name])]);
  return JSON.stringify({ id, rawId: id, type, response: Object.fromEntries(given) });
}

async function ask() {
  button.disabled = true;
  status.textContent = "请按浏览器的提示操作……";
  try {
    const publicKey = decoded(JSON.parse(form.dataset.options));
    const credential = await navigator.credentials[form.dataset.passkey]({ publicKey });
    form.elements.credential.value = encoded(credential);
    form.submit();
  } catch (error) {
    status.textContent = SENTENCES[error.name] ?? "通行密钥没有成功，请重试。";
    button.disabled = false;
  }
}

if (form && navigator.credentials && window.PublicKeyCredential) {
  button.hidden = false;
  status.textContent = "";
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  if (form.hasAttribute("data-starts")) ask();
}
