// What the cameras of the documentation's pictures see, drawn: footage of nobody. Each scene is a function of a canvas' context and of t, which goes
// from 0 to 1 and begins again, as its film does.
/* Runs in the browser: nothing outside of it is known there. */
export function draw(name, context, t) {
	const { width: W, height: H } = context.canvas;
	const box = (x, y, w, h, colour) => { context.fillStyle = colour; context.fillRect(x, y, w, h); };
	const shape = (colour, ...points) => {
		context.fillStyle = colour;
		context.beginPath();
		points.forEach(([x, y]) => context.lineTo(x, y));
		context.fill();
	};
	const disc = (x, y, r, colour, ry = r) => {
		context.fillStyle = colour;
		context.beginPath();
		context.ellipse(x, y, r, ry, 0, 0, 7);
		context.fill();
	};
	const shade = (x, y, w, h, from, to) => {
		const gradient = context.createLinearGradient(0, y, 0, y + h);
		gradient.addColorStop(0, from);
		gradient.addColorStop(1, to);
		box(x, y, w, h, gradient);
	};
	const wave = (n, phase = 0) => Math.sin(2 * Math.PI * (n * t + phase));
	const bricks = (from, to) => {
		shade(0, from, W, to - from, "#b98f74", "#a67c62");
		for (let y = from; y < to; y += 40)
			for (let x = y % 80 ? -50 : 0; x < W; x += 100)
				box(x + 2, y + 2, 96, 36, "rgba(120,70,48,.28)");
	};
	const tree = (x, y, r, colour) => {
		box(x - r / 8, y, r / 4, r * 1.6, "#4b3a2b");
		[[-0.6, 0.1, 0.7], [0.6, 0.1, 0.7], [0, -0.5, 0.9], [0, 0.2, 0.8]].forEach(([dx, dy, s], i) => disc(x + dx * r + 3 * wave(2, i / 4), y + dy * r, s * r, colour));
	};
	const car = (x, y, s, colour) => {
		disc(x, y + 42 * s, 150 * s, "rgba(0,0,0,.25)", 12 * s);
		shape(colour, [x - 140 * s, y], [x - 125 * s, y - 28 * s], [x - 80 * s, y - 34 * s], [x - 45 * s, y - 72 * s], [x + 50 * s, y - 72 * s], [x + 92 * s, y - 32 * s], [x + 136 * s, y - 22 * s], [x + 142 * s, y + 26 * s], [x - 142 * s, y + 26 * s]);
		shape("#24313c", [x - 66 * s, y - 34 * s], [x - 38 * s, y - 63 * s], [x, y - 63 * s], [x, y - 34 * s]);
		shape("#24313c", [x + 8 * s, y - 34 * s], [x + 8 * s, y - 63 * s], [x + 45 * s, y - 63 * s], [x + 76 * s, y - 34 * s]);
		[-82, 84].forEach((dx) => { disc(x + dx * s, y + 24 * s, 30 * s, "#16191c"); disc(x + dx * s, y + 24 * s, 14 * s, "#9aa3aa"); });
	};
	const person = (x, y, s, coat, step) => {
		disc(x, y + 4 * s, 34 * s, "rgba(0,0,0,.25)", 8 * s);
		[1, -1].forEach((side) => shape("#2b3440", [x - 9 * s, y - 90 * s], [x + 9 * s, y - 90 * s], [x + 8 * s + side * step * 22 * s, y], [x - 8 * s + side * step * 22 * s, y]));
		context.fillStyle = coat;
		context.beginPath();
		context.roundRect(x - 24 * s, y - 172 * s, 48 * s, 92 * s, 16 * s);
		context.fill();
		disc(x, y - 194 * s, 20 * s, "#c99b7a");
		disc(x, y - 202 * s, 20 * s, "#3a2b22", 13 * s);
	};
	const house = (x, w, y, h, wall, roof) => {
		shape(roof, [x - 16, y], [x + w / 2, y - h * 0.45], [x + w + 16, y]);
		box(x, y, w, h, wall);
		for (const row of [0.16, 0.58])
			[0.14, 0.64].forEach((place) => { box(x + w * place - 4, y + h * row - 4, w * 0.22 + 8, h * 0.26 + 8, "#ece7de"); shade(x + w * place, y + h * row, w * 0.22, h * 0.26, "#54748c", "#8fb0c4"); });
		box(x + w * 0.42, y + h * 0.64, w * 0.16, h * 0.36, "#5b3b2e");
	};
	const scenes = {
		street() {
			shade(0, 0, W, 300, "#7fb2dc", "#d5e8f2");
			disc(250 + 12 * wave(1), 90, 90, "#f4f8fa", 26);
			disc(900 - 12 * wave(1), 60, 120, "#f4f8fa", 24);
			shade(0, 300, W, 100, "#9db78a", "#86a765");
			[["#c9b18f", "#8a4f3d"], ["#b8c2bd", "#59626b"], ["#cf9f7e", "#7b4236"], ["#d8cfae", "#6a5548"]].forEach(([wall, roof], i) => house(40 + i * 320, 230, 190, 210, wall, roof));
			shade(0, 400, W, 70, "#86a765", "#6d9150");
			box(0, 460, W, 40, "#b9b5ad");
			shade(0, 500, W, 220, "#5e6266", "#4c5054");
			for (let x = -100; x < W; x += 160)
				box(x, 604, 90, 9, "#dcdcd2");
			tree(300, 350, 56, "#5f8a45");
			tree(940, 350, 62, "#567f3d");
			person(1180 - 620 * t, 486, 0.62, "#b8473f", wave(12));
			car(-200 + 1700 * Math.min(1, t * 1.7), 560, 0.95, "#2f6f9f");
			car(1500 - 1900 * Math.max(0, t * 2 - 1), 670, 1.15, "#b6bcc0");
		},
		drive() {
			shade(0, 0, W, 260, "#8bbadf", "#dbe9ef");
			bricks(250, 410);
			tree(110, 190, 90, "#4f7b3e");
			tree(1190, 180, 100, "#587f42");
			shape("#6c4a3c", [250, 130], [640, 20], [1030, 130]);
			shade(270, 130, 740, 280, "#ded5c2", "#cbbfa8");
			for (let i = 0; i < 5; i++)
				box(370, 190 + i * 44, 300, 40, i % 2 ? "#7d8993" : "#87939d");
			box(760, 200, 110, 210, "#38574a");
			disc(850, 310, 6, "#e0c26a");
			disc(930, 220, 12, "#f5df9a");
			shade(0, 400, W, 320, "#7fa25c", "#587d3f");
			shape("#a9a39a", [350, 410], [690, 410], [1020, 720], [120, 720]);
			shape("#c6c0b4", [760, 410], [872, 410], [1240, 720], [1060, 720]);
			car(520, 520, 1.25, "#8c2f34");
			disc(1010 - 330 * t, 650 + 2 * wave(20), 34, "#d08a3e", 17);
			disc(972 - 330 * t, 632 + 2 * wave(20), 15, "#d08a3e");
			box(1040 - 330 * t, 612 + 8 * wave(3), 7, 40, "#d08a3e");
			[985, 1000, 1020, 1034].forEach((x, i) => box(x - 330 * t + 6 * wave(20, i / 4), 660, 7, 22, "#b97630"));
		},
		garden() {
			shade(0, 0, W, 250, "#9cc4e4", "#e6eff0");
			for (let x = 0; x < W; x += 52)
				shape("#8b6b4c", [x, 250], [x, 190], [x + 23, 168], [x + 46, 190], [x + 46, 250]);
			box(0, 205, W, 10, "#6e523a");
			shade(0, 250, W, 470, "#86b35d", "#4f8036");
			disc(930, 520, 260, "#4d86a8", 88);
			disc(930, 516, 244, "#6ba4c2", 78);
			[0.1, 0.45, 0.8].forEach((phase) => { const r = (t * 2 + phase) % 1; context.strokeStyle = `rgba(255,255,255,${0.5 * (1 - r)})`; context.lineWidth = 3; context.beginPath(); context.ellipse(860 + 90 * phase, 520, 20 + 110 * r, 7 + 34 * r, 0, 0, 7); context.stroke(); });
			const x = 930 + 150 * wave(1), side = Math.cos(2 * Math.PI * t) > 0 ? 1 : -1;
			disc(x, 506, 34, "#f3efe4", 17);
			disc(x + side * 30, 482, 13, "#f3efe4");
			shape("#e39a2e", [x + side * 41, 479], [x + side * 58, 484], [x + side * 41, 488]);
			tree(220, 300, 120, "#5c8b41");
			box(480, 350, 12, 130, "#caa46b");
			box(640, 350, 12, 130, "#caa46b");
			box(470, 345, 192, 12, "#caa46b");
			const swing = 26 * wave(4);
			[540, 592].forEach((rope) => shape("#8d7b5e", [rope, 352], [rope + 3, 352], [rope + swing + 3, 442], [rope + swing, 442]));
			box(530 + swing, 442, 76, 9, "#b33a3a");
			for (let i = 0; i < 26; i++)
				disc(60 + (i * 211) % 560, 560 + (i * 67) % 140, 8, ["#e7c84e", "#d9667b", "#f2f0ea"][i % 3]);
		},
		porch() {
			bricks(0, 560);
			box(500, 60, 300, 500, "#efe9dd");
			shade(520, 80, 260, 480, "#2f5f52", "#244c41");
			[[545, 110], [665, 110], [545, 330], [665, 330]].forEach(([x, y]) => { box(x, y, 90, y < 200 ? 180 : 190, "#3b7263"); });
			disc(758, 330, 11, "#e6c46a");
			box(850, 250, 70, 46, "#2b2f33");
			disc(400, 190, 34, `rgba(255,226,150,${0.85 + 0.1 * wave(3)})`);
			box(392, 140, 16, 30, "#2b2f33");
			shade(0, 560, W, 160, "#b8b1a6", "#8f8980");
			box(470, 590, 360, 60, "#5d5146");
			disc(200, 470, 90, "#527f45", 110);
			shape("#a4573a", [130, 540], [270, 540], [250, 650], [150, 650]);
			const here = Math.min(1, Math.max(0, Math.min(t * 5 - 0.5, 4.6 - t * 5)));
			if (here > 0)
				person(1420 - 640 * here, 668, 2.1, "#d9822b", here < 1 ? wave(14) : 0.25);
			if (t > 0.5 || here >= 1)
				box(620, 570, 110, 76, "#c39a63");
		},
		garage() {
			shade(0, 0, W, 470, "#63686d", "#4a4f54");
			for (let x = 40; x < 520; x += 160) {
				box(x, 110, 140, 10, "#8d9297");
				box(x, 250, 140, 10, "#8d9297");
				[0, 50, 92].forEach((dx, i) => { box(x + dx + 6, 60 + 14 * i, 34, 50 - 14 * i, ["#a8adb1", "#787d82", "#92979c"][i]); box(x + dx, 196 + 10 * i, 38, 54 - 10 * i, ["#7f8489", "#a1a6aa", "#6d7277"][i]); });
			}
			for (let i = 0; i < 9; i++)
				box(640, 60 + i * 45, 560, 41, i % 2 ? "#83888d" : "#8b9095");
			shade(0, 470, W, 250, "#585d61", "#3a3e42");
			[360, 620].forEach((x) => { context.strokeStyle = "#1d2023"; context.lineWidth = 12; context.beginPath(); context.arc(x, 520, 92, 0, 7); context.stroke(); });
			context.strokeStyle = "#c3c7ca";
			context.lineWidth = 11;
			context.beginPath();
			[[360, 520], [430, 400], [570, 400], [490, 520], [360, 520]].forEach(([x, y]) => context.lineTo(x, y));
			context.moveTo(620, 520);
			context.lineTo(560, 370);
			context.lineTo(600, 350);
			context.stroke();
			box(400, 384, 66, 14, "#1d2023");
			car(980, 540, 1.35, "#999ea2");
			const mouse = 1300 - 1500 * t;
			disc(mouse, 690, 24, "#c9cdd0", 13);
			disc(mouse - 22, 684, 10, "#c9cdd0");
		},
		pasture() {
			shade(0, 0, W, 330, "#f0b27a", "#f6dfc0");
			disc(980, 250, 60, "#fff0cf");
			shape("#8a9a7a", [0, 330], [260, 210], [560, 320], [820, 230], [1280, 330], [1280, 400], [0, 400]);
			shade(0, 330, W, 390, "#8fa65a", "#5b7a3c");
			shape("#a4483b", [120, 320], [120, 200], [220, 140], [320, 200], [320, 320]);
			box(185, 240, 70, 80, "#efe6d8");
			const cow = (x, y, s) => {
				disc(x, y + 70 * s, 90 * s, "rgba(0,0,0,.2)", 9 * s);
				[-62, -40, 40, 60].forEach((dx) => box(x + dx * s, y + 10 * s, 14 * s, 60 * s, "#e9e4da"));
				context.fillStyle = "#f3efe7";
				context.beginPath();
				context.roundRect(x - 84 * s, y - 46 * s, 168 * s, 78 * s, 26 * s);
				context.fill();
				disc(x - 30 * s, y - 12 * s, 30 * s, "#3a2f2a", 22 * s);
				disc(x + 46 * s, y - 20 * s, 22 * s, "#3a2f2a", 18 * s);
				const nod = 26 * Math.max(0, wave(2, x / 1000)) * s;
				context.fillStyle = "#f3efe7";
				context.beginPath();
				context.roundRect(x + 70 * s, y - 66 * s + nod, 58 * s, 40 * s, 14 * s);
				context.fill();
				disc(x + 122 * s, y - 42 * s + nod, 14 * s, "#d7a59a");
			};
			cow(560 + 40 * wave(1), 430, 0.7);
			cow(920, 480, 0.9);
			cow(330, 540, 1.1);
			for (let x = -40; x < W; x += 170)
				box(x, 590, 16, 130, "#6d543c");
			[620, 670].forEach((y) => box(0, y, W, 9, "#7d6246"));
		},
	};

	scenes[name]();
}
