// The operator's page: shows /operator.json, again every two seconds.
"use strict";

const EVERY_MS = 2000;
const $ = (id) => document.getElementById(id);

function list(id, rows) {
  const parts = [];
  for (const [name, value, kind] of rows) {
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = value === null || value === undefined || value === "" ? "–" : String(value);
    if (kind) dd.className = kind;
    parts.push(dt, dd);
  }
  if (!parts.length) {
    const dt = document.createElement("dt");
    dt.textContent = "none yet 暂无";
    parts.push(dt);
  }
  $(id).replaceChildren(...parts);
}

function duration(seconds) {
  const h = Math.floor(seconds / 3600);
  const m = Math.floor((seconds % 3600) / 60);
  return h ? `${h} h ${m} min` : m ? `${m} min ${seconds % 60} s` : `${seconds} s`;
}

const ms = (value) => (value === null ? null : `${value} ms`);

function show(told) {
  const camera = told.camera;
  const good = camera.state === "running";
  $("version").textContent = told.version;
  $("state").textContent = `${told.mode} · ${told.phase} · camera ${camera.state}`;
  $("state").className = good ? "good" : "bad";
  list("now", [
    ["state", told.phase],
    ["mode", told.mode],
    ["person's page", told.page_connected ? "connected" : "not connected", told.page_connected ? "good" : "bad"],
    ["checks since start", told.checks],
    ["running for", duration(told.uptime_s)],
    ["gate, a frame", ms(told.times.gate_frame_ms)],
    ["preview, a frame", ms(told.times.preview_ms)],
  ]);
  list("camera", [
    ["state", camera.state, good ? "good" : "bad"],
    ["name", camera.name],
    ["identity", camera.id],
    ["trusted", camera.trusted === undefined ? null : camera.trusted ? "yes" : "no", camera.trusted ? "good" : "bad"],
    ["why", camera.why],
    ["frames a second", camera.frame_rate],
    ["problem", camera.problem && `${camera.problem.code}: ${camera.problem.hint}`],
  ]);
  list("codes", Object.entries(told.by_code));
  list("reasons", Object.entries(told.by_reason));
  list("settings", Object.entries(told.settings));
  list("models", told.models.map((model) => [model.name, model.sha256]));
  $("last").replaceChildren(
    ...told.last.map((entry) => {
      const row = document.createElement("tr");
      const note = entry.test_source ? "test source" : "";
      const time = new Date(entry.time).toLocaleString("sv-SE");
      for (const value of [time, entry.code, entry.reason, entry.elapsed_s.toFixed(2), note]) {
        const cell = document.createElement("td");
        cell.textContent = String(value);
        row.append(cell);
      }
      row.className = entry.code === 1000 ? "good" : "";
      return row;
    }),
  );
}

async function refresh() {
  try {
    const answer = await fetch("/operator.json");
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
  } catch {
    $("state").textContent = "no answer 无法连接";
    $("state").className = "bad";
  }
  setTimeout(refresh, EVERY_MS);
}

refresh();
