// Moves a camera: node onvif_ptz.mjs HOST PORT USER PASSWORD
import { say, withCamera } from "./onvif_package.mjs";

withCamera(async ask => {
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
});
