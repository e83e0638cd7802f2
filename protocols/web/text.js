// What the page says, in each language: one row per sentence. "{x}" is filled in.
import { load } from "./dom.js";

export const LANGUAGES = [["en", "English"], ["zh", "中文"]];

const TEXT = {
	live: ["Live", "实时"],
	recordings: ["Recordings", "录像"],
	system: ["System", "系统"],
	views: ["Views", "视图"],
	skip: ["Skip to content", "跳到内容"],
	language: ["Language", "语言"],
	theme: ["Colours: {now}", "外观：{now}"],
	themeAuto: ["as the system has it", "跟随系统"],
	themeDark: ["dark", "深色"],
	themeLight: ["light", "浅色"],
	looking: ["Looking for cameras…", "正在查找摄像机…"],
	noCameras: ["No camera is configured yet.", "尚未配置摄像机。"],
	noAnswer: ["nvrd does not answer. Trying again…", "nvrd 无响应，正在重试…"],
	loginNeeded: ["Log in to see the cameras.", "请登录以查看摄像机。"],
	login: ["Log in", "登录"],
	logout: ["Log out {user}", "退出登录 {user}"],
	user: ["User name", "用户名"],
	password: ["Password", "密码"],
	wrongPassword: ["The user name or the password is wrong.", "用户名或密码错误。"],
	programPassword: ["This password is for a program. Use your own.", "这是应用专用密码，请使用您自己的密码。"],
	loginLater: ["Too many attempts. Try again in a while.", "尝试次数过多，请稍后再试。"],
	forbidden: ["You may not see this.", "您没有权限查看。"],
	layout: ["Layout", "布局"],
	layoutAuto: ["Auto", "自动"],
	arrange: ["Arrange cameras", "调整顺序"],
	moveLeft: ["Move {camera} forward", "将 {camera} 前移"],
	moveRight: ["Move {camera} back", "将 {camera} 后移"],
	pageBack: ["Previous cameras", "上一页"],
	pageNext: ["Next cameras", "下一页"],
	pageOf: ["{page} of {pages}", "{page} / {pages}"],
	openCamera: ["Open {camera}", "打开 {camera}"],
	picture: ["Live picture of {camera}", "{camera} 实时画面"],
	soundOn: ["Sound of {camera} is off; switch it on", "{camera} 已静音，点击打开声音"],
	soundOff: ["Sound of {camera} is on; switch it off", "{camera} 声音已开，点击静音"],
	volume: ["Volume", "音量"],
	transport: ["Transport", "传输方式"],
	auto: ["Auto", "自动"],
	autoNow: ["Auto: {now}", "自动：{now}"],
	quality: ["Stream", "码流"],
	main: ["Main", "主码流"],
	sub: ["Sub", "子码流"],
	full: ["Full screen", "全屏"],
	back: ["Back to all cameras", "返回全部摄像机"],
	previousCamera: ["Previous camera", "上一个摄像机"],
	nextCamera: ["Next camera", "下一个摄像机"],
	move: ["Move {camera}", "{camera} 云台控制"],
	moveHelp: ["Hold to move. Arrow keys, plus and minus do it, too", "按住即可转动，也可使用方向键和加减号"],
	move_upLeft: ["Up and left", "左上"],
	move_up: ["Up", "向上"],
	move_upRight: ["Up and right", "右上"],
	move_left: ["Left", "向左"],
	move_home: ["To its home position", "回到原位"],
	move_right: ["Right", "向右"],
	move_downLeft: ["Down and left", "左下"],
	move_down: ["Down", "向下"],
	move_downRight: ["Down and right", "右下"],
	zoomIn: ["Zoom in", "放大"],
	zoomOut: ["Zoom out", "缩小"],
	presets: ["Positions", "预置位"],
	presetName: ["New position", "新预置位"],
	keepPreset: ["Keep this position", "保存当前位置"],
	moveFailed: ["That did not work: {why}", "操作失败：{why}"],
	past: ["Recordings of {camera}", "{camera} 的录像"],
	connecting: ["Connecting…", "连接中…"],
	offline: ["Offline", "离线"],
	frozen: ["The picture froze; connecting again", "画面冻结，正在重连"],
	failed: ["Interrupted; connecting again", "连接中断，正在重连"],
	cannotPlay: ["This browser cannot play {what}", "此浏览器无法播放 {what}"],
	state_off: ["Off", "已关闭"],
	state_connecting: ["Connecting", "连接中"],
	state_waiting: ["Waiting for its publisher", "等待推流"],
	state_playing: ["Live", "正常"],
	state_degraded: ["Damaged picture", "画面受损"],
	state_down: ["Offline", "离线"],
	notRecording: ["Nothing recorded for {time}", "已 {time} 未录像"],
	camera: ["Camera", "摄像机"],
	previousDay: ["Previous day", "前一天"],
	nextDay: ["Next day", "后一天"],
	today: ["Today", "今天"],
	calendar: ["Days with recordings", "有录像的日期"],
	previousMonth: ["Previous month", "上个月"],
	nextMonth: ["Next month", "下个月"],
	play: ["Play", "播放"],
	pause: ["Pause", "暂停"],
	stepBack: ["One picture back", "上一帧"],
	stepNext: ["One picture on", "下一帧"],
	speed: ["Speed", "速度"],
	toLive: ["To the live picture", "转到实时"],
	timeline: ["Timeline of the day", "当天时间轴"],
	timelineHelp: ["Arrow keys move, plus and minus zoom", "方向键移动，加减号缩放"],
	recordedPicture: ["Recorded picture of {camera}", "{camera} 录像画面"],
	noRecordings: ["Nothing was recorded on this day.", "当天没有录像。"],
	noRecordingsEver: ["Nothing has been recorded yet.", "尚无录像。"],
	endOfRecordings: ["Nothing was recorded after this.", "之后没有录像。"],
	unrecorded: ["not recorded", "无录像"],
	clip: ["Clip", "剪辑"],
	clipFrom: ["From", "开始"],
	clipTo: ["To", "结束"],
	clipStart: ["Start of the clip", "剪辑开始"],
	clipEnd: ["End of the clip", "剪辑结束"],
	download: ["Download", "下载"],
	clipSize: ["{time}, {size}", "{time}，{size}"],
	clipNothing: ["Nothing was recorded then.", "该时段没有录像。"],
	clipMixed: ["The codec changes within it: take the two parts.", "该时段内编码有变化，请分两段下载。"],
	clipFailed: ["It cannot be had now.", "暂时无法获取。"],
	stopped: ["The recording cannot be read; trying again", "无法读取录像，正在重试"],
	cameras: ["Cameras", "摄像机"],
	storage: ["Storage", "存储"],
	health: ["Health", "运行状况"],
	files: ["Files", "文件"],
	state: ["State", "状态"],
	rate: ["Bit rate", "码率"],
	frames: ["Pictures/s", "帧率"],
	kept: ["Recorded", "已录像"],
	oldest: ["Oldest", "最早"],
	newest: ["Newest", "最新"],
	missing: ["Missing", "缺失"],
	free: ["{size} free", "可用 {size}"],
	recorded: ["{size} recorded", "录像 {size}"],
	version: ["Version", "版本"],
	lag: ["Worst lag in a minute", "一分钟内最大延迟"],
	viewers: ["Viewers", "观看者"],
	queue: ["Waiting for the disk", "等待写盘"],
	lost: ["Fragments lost", "丢失片段"],
	errors: ["Errors in the log", "日志错误"],
	clock: ["Clock", "时钟"],
	clockSet: ["set", "已校准"],
	clockUnset: ["not set", "未校准"],
	certificate: ["Certificate until", "证书有效期至"],
	volume_ready: ["Ready", "正常"],
	volume_failing: ["Refuses writes", "拒绝写入"],
	volume_gone: ["Gone", "不可用"],
	noMetrics: ["The server's numbers cannot be read by this user.", "此用户无法读取服务器数据。"],
	metrics: ["Metrics", "指标"],
	uploads: ["Uploads", "上传"],
};

/* Why a camera is not there: the reasons of nvrd_camera_failures_total. */
const REASONS = {
	stopped: ["stopped", "已停止"],
	host_unknown: ["the host name is unknown", "主机名无法解析"],
	refused: ["connection refused", "连接被拒绝"],
	timeout: ["no answer in time", "响应超时"],
	untrusted: ["its certificate is not trusted", "证书不受信任"],
	unauthorized: ["wrong user or password", "用户名或密码错误"],
	not_found: ["it does not know this path", "路径不存在"],
	no_video: ["it offers no video", "没有视频"],
	unsupported: ["no codec that can be recorded", "编码不受支持"],
	protocol: ["its answer makes no sense", "应答无效"],
	busy: ["it has no room for one more reader", "连接数已满"],
	stalled: ["media stopped arriving", "数据中断"],
	no_keyframe: ["no picture to begin with arrived", "没有收到关键帧"],
	closed: ["it ended the connection", "对方关闭了连接"],
	failed: ["the source failed", "来源故障"],
};

function pickLanguage() {
	const wanted = load("language", null);
	const known = LANGUAGES.map(([name]) => name);

	if (known.includes(wanted))
		return wanted;
	return navigator.languages.map((name) => name.split("-")[0]).find((name) => known.includes(name)) ?? known[0];
}

export const language = pickLanguage();
const column = LANGUAGES.findIndex(([name]) => name === language);
const locale = language === "zh" ? "zh-CN" : navigator.languages.find((name) => name.startsWith(language)) ?? language;

export function t(key, values = {}) {
	return TEXT[key][column].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export function reasonText(reason) {
	return REASONS[reason]?.[column] ?? reason.replaceAll("_", " ");
}

const number = (options) => new Intl.NumberFormat(locale, options);
const date = (options) => new Intl.DateTimeFormat(locale, { hourCycle: "h23", ...options });
const formats = {
	time: date({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
	minute: date({ hour: "2-digit", minute: "2-digit" }),
	day: date({ weekday: "short", year: "numeric", month: "short", day: "numeric" }),
	month: date({ year: "numeric", month: "long" }),
	moment: date({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }),
	weekday: date({ weekday: "narrow" }),
};

/* An instant in ms as one of the formats above. */
export function when(format, ms) {
	return formats[format].format(ms);
}

export function bytes(n) {
	const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
	const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(n, 1)) / 3));
	return number({ style: "unit", unit: units[power], unitDisplay: "short", maximumSignificantDigits: 3 }).format(n / 1000 ** power);
}

export function bits(perSecond) {
	return perSecond >= 1e6 ? `${number({ maximumFractionDigits: 1 }).format(perSecond / 1e6)} Mbit/s`
		: `${number({ maximumFractionDigits: 0 }).format(perSecond / 1e3)} kbit/s`;
}

export function decimal(n, digits = 0) {
	return number({ maximumFractionDigits: digits }).format(n);
}

/* A length in seconds: "1:02:03". */
export function length(seconds) {
	const s = Math.round(seconds);
	const two = (n) => String(n).padStart(2, "0");
	return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}
