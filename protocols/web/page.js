// The page: one tile per camera. It is a client of /live/ and of nothing else.
import { LivePlayer } from "./player.js";

const LIST_AGAIN_MS = 10000;

/* The cameras that this user may see, from the list of links at /live/. */
async function listCameras() {
	const response = await fetch("live/", { cache: "no-store" });
	if (!response.ok)
		throw new Error(`${response.status} ${response.statusText}`);
	const page = new DOMParser().parseFromString(await response.text(), "text/html");
	return [...page.querySelectorAll("li > a:first-child")].map((link) => link.textContent);
}

function addTile(main, name) {
	const tile = document.getElementById("camera").content.cloneNode(true).firstElementChild;
	const video = tile.querySelector("video");
	const state = tile.querySelector(".state");
	const sound = tile.querySelector(".sound");

	tile.dataset.camera = name;
	tile.querySelector(".name").textContent = name;
	tile.querySelector(".recordings").href = `recordings/${name}/`;
	video.setAttribute("aria-label", `Live picture of ${name}`);
	sound.addEventListener("click", () => {
		video.muted = !video.muted;
		sound.setAttribute("aria-pressed", String(!video.muted));
	});
	tile.querySelector(".full").addEventListener("click", () => video.requestFullscreen?.());
	main.append(tile);
	return new LivePlayer(video, `live/${name}/`, (text, bad) => {
		state.textContent = text;
		state.classList.toggle("bad", bad);
	});
}

const players = new Map(); // by camera

function showCameras(main, names) {
	main.querySelector(".hint")?.remove();
	for (const [name, player] of players) {
		if (names.includes(name))
			continue;
		player.stop();
		players.delete(name);
		main.querySelector(`[data-camera="${name}"]`).remove();
	}
	for (const name of names) {
		if (!players.has(name))
			players.set(name, addTile(main, name));
	}
	if (names.length === 0)
		main.innerHTML = '<p class="hint">No camera is configured yet.</p>';
}

async function refresh() {
	const main = document.getElementById("cameras");

	try {
		showCameras(main, await listCameras());
	} catch (error) {
		if (players.size === 0)
			main.innerHTML = '<p class="hint">nvrd does not answer. Trying again…</p>';
	}
	setTimeout(refresh, LIST_AGAIN_MS);
}

refresh();
