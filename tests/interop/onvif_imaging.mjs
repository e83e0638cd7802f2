// Sets a camera's picture: node onvif_imaging.mjs HOST PORT USER PASSWORD
import { say, withCamera } from "./onvif_package.mjs";

withCamera(async ask => {
	say("capabilities", await ask("getImagingServiceCapabilities"));
	say("before", await ask("getImagingSettings"));
	say("options", await ask("getVideoSourceOptions", {}));
	await ask("setImagingSettings", { brightness: 33, contrast: 44.5, exposure: { mode: "MANUAL", exposureTime: 20000 }, focus: { autoFocusMode: "AUTO" }, sharpness: 7, irCutFilter: "OFF" });
	say("after", await ask("getImagingSettings"));
	say("moves", await ask("imagingGetMoveOptions", {}));
	await ask("imagingMove", { continuous: { speed: -3 } });
	await ask("imagingStop", {});
	say("status", await ask("imagingGetStatus", {}));
	say("end", true);
});
