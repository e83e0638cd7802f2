// The npm package `onvif` moves a camera; a line of JSON for each answer. The arguments: host, port, user, password.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url); // finds it in NODE_PATH
const { Cam } = require("onvif");
const [hostname, port, username, password] = process.argv.slice(2);

function say(what, value) {
	console.log(JSON.stringify({ what, value }));
}

const cam = new Cam({ hostname, port: Number(port), username, password, timeout: 30000 }, error => {
	const ask = (name, ...words) => new Promise((resolve, reject) => cam[name](...words, (e, value) => e ? reject(e) : resolve(value)));
	const work = async () => {
		if (error)
			throw error;
		const configurations = await ask("getConfigurations");
		say("nodes", await ask("getNodes"));
		say("configurations", configurations);
		say("options", await ask("getConfigurationOptions", Object.values(configurations)[0].token));
		await ask("continuousMove", { x: 0.5, y: -0.25, zoom: 0, timeout: 5000 });
		await ask("stop", { panTilt: true, zoom: true });
		await ask("relativeMove", { x: 0.1, y: 0, zoom: 0 });
		await ask("absoluteMove", { x: -0.5, y: 0.75, zoom: 0.5, speed: { x: 1, y: 1, zoom: 1 } });
		say("status", await ask("getStatus"));
		await ask("setPreset", { presetName: "over there" });
		say("presets", await ask("getPresets"));
		await ask("gotoPreset", { preset: "1" });
		await ask("removePreset", { presetToken: "1" });
		await ask("setHomePosition", {});
		await ask("gotoHomePosition", {});
		say("end", true);
	};
	work().catch(problem => {
		say("error", problem.message);
		process.exitCode = 1;
	});
});
