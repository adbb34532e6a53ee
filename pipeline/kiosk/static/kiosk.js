// The person's page. It shows what the kiosk says, paints the flash, and sends the form; it decides nothing.
"use strict";

const RETRY_MS = 2000; // pause before the next try to connect
const SILENCE_MS = 15000; // a line on which nothing comes for so long is given up
const FORGET_MS = 60000; // what was typed and not sent is cleared after so long

const $ = (id) => document.getElementById(id);
const body = document.body;
const form = $("form");
const canvas = $("preview");
const pen = canvas.getContext("2d");

let socket = null;
let screen_ = null;
let heard = 0;
let spoken = "";
let colour = null;
let paintWanted = false;
let forget = 0;

function say(message) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function words(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

// ---- screens ----------------------------------------------------------------------------------

function show(next) {
  const before = screen_;
  screen_ = next;
  body.dataset.phase = next.phase;
  if (next.outcome) body.dataset.outcome = next.outcome;
  else delete body.dataset.outcome;
  words("zh", next.zh);
  words("en", next.en);
  words("hint_zh", next.hint_zh);
  words("hint_en", next.hint_en);
  $("test").hidden = !next.test_source;
  $("stop").hidden = !next.can_stop;
  const progress = Math.min(1, Math.max(0, next.progress));
  $("arc").setAttribute("stroke-dashoffset", String(101 * (1 - progress)));
  body.style.setProperty("--ring", ringColour(progress));
  const asks = next.phase === "form";
  if (form.hidden === asks) {
    form.hidden = !asks;
    if (asks) $("name").focus();
  }
  if (!asks) clearForm();
  announce(next, before);
}

function ringColour(progress) {
  return `hsl(${Math.round(45 + 97 * progress)} 90% 60%)`;
}

// For those who can't see the screen: each sentence once, a result at once.
function announce(next, before) {
  const text = [next.zh, next.en, next.hint_zh, next.hint_en].filter(Boolean).join(" ");
  if (text === spoken && before && before.phase === next.phase) return;
  spoken = text;
  const result = next.phase === "result";
  $(result ? "alert" : "polite").replaceChildren(
    spokenPart("zh-CN", [next.zh, next.hint_zh]),
    spokenPart("en", [next.en, next.hint_en]),
  );
  $(result ? "polite" : "alert").replaceChildren();
}

function spokenPart(lang, sentences) {
  const part = document.createElement("span");
  part.lang = lang;
  part.textContent = `${sentences.filter(Boolean).join(" ")} `;
  return part;
}

function away(zh, en, hintZh, hintEn) {
  setColour(null);
  show({
    phase: "connecting", zh, en, hint_zh: hintZh, hint_en: hintEn,
    progress: 0, box: null, outcome: null, can_stop: false, test_source: false,
  });
}

// ---- preview ----------------------------------------------------------------------------------

async function draw(data) {
  try {
    const picture = await createImageBitmap(new Blob([data], { type: "image/jpeg" }));
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
    }
    pen.drawImage(picture, 0, 0);
    picture.close();
    drawBox();
  } finally {
    say({ type: "seen" });
  }
}

function drawBox() {
  if (!screen_ || !screen_.box || screen_.phase !== "checking") return;
  const [x, y, w, h] = screen_.box;
  pen.strokeStyle = ringColour(screen_.progress);
  pen.lineWidth = Math.max(3, canvas.width / 110);
  pen.beginPath();
  pen.roundRect(x * canvas.width, y * canvas.height, w * canvas.width, h * canvas.height, canvas.width / 24);
  pen.stroke();
}

// ---- flash ------------------------------------------------------------------------------------

// A colour is set when a picture of the screen is made, and acknowledged when the next one is: by then the first
// is on its way to the glass. A page that is hidden makes no pictures, and so acknowledges nothing.
function setColour(next) {
  colour = next;
  if (colour === null) {
    body.classList.remove("flash");
    body.style.backgroundColor = "";
    return;
  }
  if (paintWanted) return;
  paintWanted = true;
  requestAnimationFrame(paint);
}

function paint() {
  paintWanted = false;
  if (colour === null) return;
  const { number, rgb } = colour;
  body.classList.add("flash");
  body.style.backgroundColor = `rgb(${rgb[0]} ${rgb[1]} ${rgb[2]})`;
  requestAnimationFrame(() => say({ type: "painted", number }));
}

// ---- form -------------------------------------------------------------------------------------

function clearForm() {
  form.reset();
  words("wrong", "");
  clearTimeout(forget);
}

form.addEventListener("input", () => {
  clearTimeout(forget);
  forget = setTimeout(clearForm, FORGET_MS);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  const number = $("number").value.trim();
  if (!name || !number) {
    words("wrong", "请填写姓名和证件号码。 Please enter name and certificate number.");
    $(name ? "number" : "name").focus();
    return;
  }
  if (!$("consent").checked) {
    words("wrong", "请先勾选同意。 Please tick the box if you agree.");
    $("consent").focus();
    return;
  }
  say({ type: "person", name, number, consent: true });
  clearForm();
});

function stop() {
  if (screen_ && screen_.can_stop) say({ type: "stop" });
}

$("stop").addEventListener("click", stop);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
});

// ---- the line ---------------------------------------------------------------------------------

function hear(event) {
  heard = Date.now();
  if (typeof event.data !== "string") {
    draw(event.data);
    return;
  }
  const message = JSON.parse(event.data);
  if (message.type === "screen") show(message);
  else if (message.type === "colour") setColour(message.colour);
  else if (message.type === "form_error") {
    words("wrong", `${message.zh} ${message.en}`);
    $("name").focus();
  } else if (message.type === "busy") {
    away(message.zh, message.en, message.hint_zh, message.hint_en);
    socket.told = true;
  }
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const line = new WebSocket(`${scheme}//${location.host}/socket`);
  line.binaryType = "arraybuffer";
  socket = line;
  heard = Date.now();
  line.onmessage = hear;
  line.onclose = () => {
    if (socket !== line) return;
    socket = null;
    if (!line.told) away("暂停服务", "Out of service", "正在重新连接。", "Connecting again.");
    setTimeout(connect, RETRY_MS);
  };
}

setInterval(() => {
  if (socket && Date.now() - heard > SILENCE_MS && screen_ && screen_.phase !== "camera") socket.close();
}, 3000);

connect();
