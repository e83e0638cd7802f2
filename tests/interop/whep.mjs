// Plays WHEP in Chromium and tells as JSON what came: node whep.mjs ORIGIN PATH [MODE]
// MODE: "sound" waits for sound, too; "tcp" leaves the candidates by UDP out of the answer.
import { launch } from "./chromium.mjs";

const [given, path, mode] = process.argv.slice(2);
const url = new URL(given);
const credentials = { username: url.username, password: url.password };
url.username = url.password = "";

const browser = await launch();
const page = await browser.newPage({ httpCredentials: credentials.username ? credentials : undefined });
await page.goto(new URL("live/", url).href);

/* Makes the session. The page's own script is not used. */
const begun = await page.evaluate(async ([resource, byTcp]) => {
	const begin = performance.now();
	const peer = new RTCPeerConnection();
	const video = document.body.appendChild(document.createElement("video"));
	window.whep = { peer, video, stream: new MediaStream(), begin, first: null };
	video.autoplay = true;
	video.srcObject = window.whep.stream;
	video.requestVideoFrameCallback(() => { window.whep.first = performance.now(); });
	peer.ontrack = (event) => window.whep.stream.addTrack(event.track);
	peer.addTransceiver("video", { direction: "recvonly" });
	peer.addTransceiver("audio", { direction: "recvonly" });
	await peer.setLocalDescription(await peer.createOffer());
	const answer = await fetch(resource, { method: "POST", body: peer.localDescription.sdp, headers: { "Content-Type": "application/sdp" } });
	const text = await answer.text();
	window.whep.location = answer.headers.get("Location");
	if (answer.status === 201)
		await peer.setRemoteDescription({ type: "answer", sdp: byTcp ? text.replace(/a=candidate:\S+ 1 udp .*\r\n/g, "") : text });
	return { status: answer.status, location: window.whep.location, etag: answer.headers.get("ETag"), text };
}, [path, mode === "tcp"]);

const look = () => page.evaluate(async () => {
	const { peer, video, begin, first } = window.whep;
	const seen = { state: peer.connectionState, width: video.videoWidth, time: video.currentTime, start: first && (first - begin) / 1000,
		frames: 0, samples: 0, keyframes: 0, plis: 0, nacks: 0, lost: 0, delay: null };
	for (const report of (await peer.getStats()).values()) {
		if (report.type === "remote-candidate")
			seen.protocol = report.protocol;
		if (report.type !== "inbound-rtp")
			continue;
		if (report.kind === "audio")
			Object.assign(seen, { samples: report.totalSamplesReceived ?? 0, energy: report.totalAudioEnergy ?? 0, audioPackets: report.packetsReceived });
		else
			Object.assign(seen, { frames: report.framesDecoded ?? 0, keyframes: report.keyFramesDecoded ?? 0, plis: report.pliCount ?? 0, nacks: report.nackCount ?? 0,
				lost: report.packetsLost, dropped: report.framesDropped, freezes: report.freezeCount,
				delay: report.jitterBufferEmittedCount ? report.jitterBufferDelay / report.jitterBufferEmittedCount : null,
				decoder: report.decoderImplementation });
	}
	return seen;
});

/* Looks until that holds, 20 s at most. */
async function lookUntil(holds) {
	let seen;
	for (let left = 200; left > 0; left--) {
		seen = await look();
		if (holds(seen))
			break;
		await page.waitForTimeout(100);
	}
	return seen;
}

const result = { begun };
if (begun.status === 201) {
	result.first = await lookUntil((seen) => seen.frames > 10 && seen.width > 0 && seen.start && (mode !== "sound" || seen.samples > 48000));
	result.second = await lookUntil((seen) => seen.frames > result.first.frames + 30);
	result.deleted = await page.evaluate(async (resource) => (await fetch(resource, { method: "DELETE" })).status, begun.location);
	result.ended = (await lookUntil((seen) => seen.state !== "connected")).state;
}
console.log(JSON.stringify(result));
await browser.close();
