// What the server says of itself at /metrics: cameras, storage, health.
import { h } from "./dom.js";
import { cameraState, inOrder } from "./live_view.js";
import { bits, bytes, decimal, length, t, when } from "./text.js";

const dash = "–";
const or = (value, format) => (value === undefined ? dash : format(value));

export class SystemView {
	constructor(server) {
		this.title = t("system");
		this.toolbar = [];
		this.element = h("section", { class: "system", "aria-label": t("system") });
		this.update(server);
	}

	/* Not while somebody is in the table by keyboard. */
	update(server) {
		const { metrics } = server;
		const left = this.element.querySelector(".scroll")?.scrollLeft ?? 0;

		if (this.element.contains(document.activeElement))
			return;
		const parts = metrics ? [this.#cameras(server), this.#storage(metrics), this.#health(server)] : [h("p", { class: "hint" }, t("noMetrics"))];

		this.element.replaceChildren(...parts, this.#files());
		if (left)
			this.element.querySelector(".scroll").scrollLeft = left;
	}

	#cameras(server) {
		const { metrics, before } = server;
		const heads = ["camera", "state", "rate", "frames", "kept", "oldest", "newest", "missing"];
		const rows = inOrder(server.cameras).map((one) => {
			const camera = one.name;
			const { state, text, bad } = cameraState(server, one);
			const day = (ms) => when("moment", ms * 1000);
			const cells = [
				or(metrics.rate(before, "nvrd_camera_received_bytes_total", { camera }), (rate) => bits(rate * 8)),
				or(metrics.rate(before, "nvrd_camera_frames_total", { camera, kind: "video" }), (rate) => decimal(rate, 1)),
				or(metrics.sum("nvrd_camera_recorded_bytes", { camera }), bytes),
				or(metrics.sum("nvrd_camera_oldest_recording_timestamp_seconds", { camera }), day),
				or(metrics.sum("nvrd_camera_newest_recording_timestamp_seconds", { camera }), day),
				or(metrics.sum("nvrd_recorder_missing_seconds_total", { camera }), length),
			];
			return h("tr", {}, h("th", { scope: "row" }, h("a", { href: `#live/${camera}` }, camera)),
				h("td", { class: bad ? "bad" : "" }, h("span", { class: `badge ${bad ? "bad" : state}` }), text), ...cells.map((cell) => h("td", {}, cell)));
		});

		return h("div", { class: "card wide" }, h("h2", {}, t("cameras")), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("cameras") },
			h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, t(head))))), h("tbody", {}, ...rows))));
	}

	#storage(metrics) {
		const volumes = metrics.series("nvrd_volume_free_bytes").map(({ labels: { volume }, value: free }) => {
			const recorded = metrics.sum("nvrd_volume_recorded_bytes", { volume }) ?? 0;
			const state = metrics.state("nvrd_volume_state", { volume }) ?? "ready";
			return h("div", { class: "disk" }, h("p", { class: "path" }, h("span", { class: `badge ${state === "ready" ? "playing" : "bad"}` }), volume),
				h("meter", { min: "0", max: String(recorded + free), value: String(recorded), "aria-label": volume }),
				h("p", { class: state === "ready" ? "dim" : "bad" }, [t(`volume_${state}`), t("recorded", { size: bytes(recorded) }), t("free", { size: bytes(free) })].join(" · ")));
		});

		return h("div", { class: "card" }, h("h2", {}, t("storage")), ...volumes);
	}

	#health({ metrics }) {
		const rows = [
			["version", metrics.series("nvrd_build_info")[0]?.labels.version ?? dash],
			["lag", or(metrics.sum("nvrd_reactor_lag_max_seconds"), (s) => `${decimal(s * 1000, 1)} ms`)],
			["viewers", or(metrics.sum("nvrd_sessions"), decimal)],
			["queue", or(metrics.sum("nvrd_recorder_queue_bytes"), bytes)],
			["lost", or(metrics.sum("nvrd_recorder_lost_fragments_total") ?? 0, decimal)],
			["errors", or(metrics.sum("nvrd_log_messages_total", { level: "error" }) ?? 0, decimal)],
			["clock", or(metrics.sum("nvrd_clock_set"), (set) => t(set ? "clockSet" : "clockUnset"))],
			["certificate", or(metrics.sum("nvrd_tls_certificate_expiry_timestamp_seconds") || undefined, (s) => when("day", s * 1000))],
		];

		return h("div", { class: "card" }, h("h2", {}, t("health")), h("dl", {}, ...rows.flatMap(([name, value]) => [h("dt", {}, t(name)), h("dd", {}, value)])));
	}

	#files() {
		const links = [["recordings", "recordings/"], ["uploads", "uploads/"], ["metrics", "metrics"]];

		return h("div", { class: "card" }, h("h2", {}, t("files")), h("p", { class: "links" }, ...links.map(([name, href]) => h("a", { href }, t(name)))));
	}

	onKey() {}

	close() {}
}
