// Finding in the list of methods, and trying one. Without it the page is read as well.
"use strict";

const LONGEST = 20000;

function find(event) {
  const wanted = event.target.value.trim().toLowerCase();
  for (const item of document.querySelectorAll("nav section li")) {
    item.hidden = wanted !== "" && !item.textContent.toLowerCase().includes(wanted);
  }
}

function request(form) {
  const key = document.getElementById("key").value.trim();
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const verb = form.dataset.verb;
  const body = form.elements.namedItem("body");
  if (body) {
    headers["content-type"] = "application/json";
    headers["idempotency-key"] = crypto.randomUUID();
  }
  return [form.elements.namedItem("path").value, { method: verb, headers, body: body ? body.value : undefined }];
}

async function send(event) {
  event.preventDefault();
  const shown = event.target.querySelector(".answer");
  const [path, options] = request(event.target);
  if (!path.startsWith("/") || path.startsWith("//")) {
    shown.textContent = "The path begins with one slash.";
    return;
  }
  shown.textContent = "...";
  try {
    const answer = await fetch(path, { ...options, credentials: "omit", redirect: "error" });
    const kind = answer.headers.get("content-type") || "";
    const head = `${answer.status} ${kind}\nx-request-id: ${answer.headers.get("x-request-id")}\n\n`;
    const text = /^(text|application\/json)/.test(kind) ? await answer.text() : `${(await answer.blob()).size} bytes`;
    shown.textContent = head + pretty(text).slice(0, LONGEST);
  } catch (fault) {
    shown.textContent = String(fault);
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

document.getElementById("find").addEventListener("input", find);
for (const trial of document.querySelectorAll(".trial")) {
  trial.hidden = false;
  trial.querySelector("form").addEventListener("submit", send);
}
