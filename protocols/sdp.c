/* Session descriptions (RFC 8866), read as cameras write them: no line can spoil the others. */
#include "protocols/sdp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	MAPS = 32,
	TYPES = 8, /* looked at of an m= line */
	NO_TYPE = 255
};

/* One line's value, trimmed. */
struct sdp_text {
	const char *p;
	size_t n;
};

/* What an rtpmap or fmtp line says, wherever it stands: matched to media by payload type at the end. */
struct sdp_map {
	uint8_t payload_type;
	size_t media; /* the media line above it */
	struct sdp_text rtpmap, fmtp;
};

struct sdp_parse {
	struct sdp *sdp;
	struct sdp_map maps[MAPS];
	size_t n_maps;
	uint8_t types[SDP_MEDIA][TYPES]; /* of the m= lines; NO_TYPE behind the last */
	enum sdp_direction direction;    /* of the session: for media that say none */
	bool full;                       /* a media line beyond the limit: its attributes go too */
};

/* RFC 3551 section 6. */
static const struct {
	uint8_t payload_type;
	const char *encoding;
	uint32_t clock_hz;
	uint8_t channels;
} static_types[] = {
	{0,   "PCMU", 8000,  1},
	{ 3,  "GSM",  8000,  1},
	{ 8,  "PCMA", 8000,  1},
	{ 9,  "G722", 8000,  1},
	{ 10, "L16",  44100, 2},
	{ 11, "L16",  44100, 1},
	{ 14, "MPA",  90000, 1},
	{ 26, "JPEG", 90000, 1},
	{ 32, "MPV",  90000, 1},
	{ 33, "MP2T", 90000, 1},
};

static bool sdp_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct sdp_text sdp_trim(const char *p, size_t n)
{
	while (n && sdp_space(*p))
		p++, n--;
	while (n && sdp_space(p[n - 1]))
		n--;
	return (struct sdp_text){ p, n };
}

/* Copies with NUL, cut to size. */
static void sdp_copy(char *ret, size_t size, struct sdp_text t)
{
	size_t n = t.n < size ? t.n : size - 1;

	memcpy(ret, t.p, n);
	ret[n] = '\0';
}

/* The next word; the rest stays in *t, trimmed. */
static struct sdp_text sdp_word(struct sdp_text *t)
{
	struct sdp_text word = { t->p, 0 };

	while (word.n < t->n && !sdp_space(word.p[word.n]))
		word.n++;
	*t = sdp_trim(t->p + word.n, t->n - word.n);
	return word;
}

/* A decimal number at the start of a text; -1 when there is none up to max. */
static long sdp_number(struct sdp_text t, long max)
{
	long value = 0;
	size_t i = 0;

	for (; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++) {
		value = value * 10 + (t.p[i] - '0');
		if (value > max)
			return -1;
	}
	return i ? value : -1;
}

static bool sdp_is(struct sdp_text t, const char *s)
{
	return t.n == strlen(s) && !strncasecmp(t.p, s, t.n);
}

/* --- lines --- */

/* m=video 0 RTP/AVP 96 97 */
static void sdp_on_media(struct sdp_parse *parse, struct sdp_text value)
{
	struct sdp_media *media;
	struct sdp_text kind = sdp_word(&value);
	uint8_t *types = parse->types[parse->sdp->n_media % SDP_MEDIA];

	parse->full = parse->sdp->n_media == SDP_MEDIA;
	if (parse->full)
		return;
	media = &parse->sdp->media[parse->sdp->n_media++];
	memset(media, 0, sizeof(*media));
	media->kind = sdp_is(kind, "video")         ? SDP_VIDEO
		      : sdp_is(kind, "audio")       ? SDP_AUDIO
		      : sdp_is(kind, "application") ? SDP_APPLICATION
						    : SDP_OTHER;
	(void)sdp_word(&value); /* port */
	(void)sdp_word(&value); /* protocol */
	memset(types, NO_TYPE, TYPES);
	for (size_t i = 0; i < TYPES && value.n;) {
		long type = sdp_number(sdp_word(&value), 127);

		if (type >= 0)
			types[i++] = (uint8_t)type;
	}
	media->payload_type = types[0];
}

static struct sdp_map *sdp_map_of(struct sdp_parse *parse, struct sdp_text *value)
{
	long type = sdp_number(*value, 127);
	size_t media = parse->sdp->n_media;

	(void)sdp_word(value);
	if (type < 0)
		return NULL;
	for (size_t i = 0; i < parse->n_maps; i++) {
		if (parse->maps[i].payload_type == type && parse->maps[i].media == media)
			return &parse->maps[i];
	}
	if (parse->n_maps == MAPS)
		return NULL;
	parse->maps[parse->n_maps] =
		(struct sdp_map){ .payload_type = (uint8_t)type, .media = media };
	return &parse->maps[parse->n_maps++];
}

static void sdp_on_direction(struct sdp_parse *parse, struct sdp_text name)
{
	static const struct {
		const char *name;
		enum sdp_direction direction;
	} rows[] = {
		{"sendrecv",  SDP_SENDRECV},
		{ "sendonly", SDP_SENDONLY},
		{ "recvonly", SDP_RECVONLY},
		{ "inactive", SDP_INACTIVE},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (!sdp_is(name, rows[i].name))
			continue;
		if (parse->sdp->n_media)
			parse->sdp->media[parse->sdp->n_media - 1].direction = rows[i].direction;
		else
			parse->direction = rows[i].direction;
	}
}

/* a=x-dimensions:2592,1944 or a=framesize:26 2592-1944, which names the payload type */
static void sdp_on_dimensions(struct sdp_media *media, struct sdp_text value, bool typed)
{
	long type = sdp_number(value, 127), width, height;
	size_t digits = 0;

	if (typed && type != media->payload_type)
		return;
	if (typed)
		(void)sdp_word(&value);
	while (digits < value.n && value.p[digits] >= '0' && value.p[digits] <= '9')
		digits++;
	if (digits == value.n)
		return;
	width = sdp_number(value, UINT16_MAX);
	height = sdp_number(sdp_trim(value.p + digits + 1, value.n - digits - 1), UINT16_MAX);
	if (width <= 0 || height <= 0)
		return;
	media->width = (uint16_t)width;
	media->height = (uint16_t)height;
}

/* a=name or a=name:value */
static void sdp_on_attribute(struct sdp_parse *parse, struct sdp_text line)
{
	const char *colon = memchr(line.p, ':', line.n);
	struct sdp_text name = sdp_trim(line.p, colon ? (size_t)(colon - line.p) : line.n);
	struct sdp_text value = { "", 0 };
	struct sdp_map *map;

	if (colon)
		value = sdp_trim(colon + 1, line.n - (size_t)(colon - line.p) - 1);
	if (sdp_is(name, "control")) {
		char *to = parse->sdp->n_media ? parse->sdp->media[parse->sdp->n_media - 1].control
					       : parse->sdp->control;

		sdp_copy(to, SDP_VALUE_BYTES, value);
	} else if (sdp_is(name, "rtpmap") || sdp_is(name, "fmtp")) {
		map = sdp_map_of(parse, &value);
		if (map && sdp_is(name, "rtpmap") && !map->rtpmap.n)
			map->rtpmap = value;
		else if (map && sdp_is(name, "fmtp") && value.n && !map->fmtp.n)
			map->fmtp = value;
	} else if ((sdp_is(name, "x-dimensions") || sdp_is(name, "framesize")) &&
		   parse->sdp->n_media) {
		sdp_on_dimensions(&parse->sdp->media[parse->sdp->n_media - 1], value,
			sdp_is(name, "framesize"));
	} else {
		sdp_on_direction(parse, name);
	}
}

static void sdp_on_line(struct sdp_parse *parse, struct sdp_text line)
{
	struct sdp_text value;

	if (line.n < 2 || line.p[1] != '=')
		return;
	value = sdp_trim(line.p + 2, line.n - 2);
	if (line.p[0] == 'm')
		sdp_on_media(parse, value);
	else if (line.p[0] == 'a' && !parse->full)
		sdp_on_attribute(parse, value);
	else if (line.p[0] == 's' && !parse->sdp->n_media && !parse->sdp->name[0])
		sdp_copy(parse->sdp->name, sizeof(parse->sdp->name), value);
}

/* --- putting together --- */

/* H264/90000, MPEG4-GENERIC/48000/2 */
static void sdp_read_rtpmap(struct sdp_media *media, struct sdp_text map)
{
	const char *slash = memchr(map.p, '/', map.n);
	size_t n = slash ? (size_t)(slash - map.p) : map.n;
	struct sdp_text rest = { "", 0 };
	long number;

	sdp_copy(media->encoding, sizeof(media->encoding), sdp_trim(map.p, n));
	for (char *c = media->encoding; *c; c++)
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
	if (!strcmp(media->encoding, "HEVC"))
		snprintf(media->encoding, sizeof(media->encoding), "H265");
	if (slash)
		rest = sdp_trim(slash + 1, map.n - n - 1);
	number = sdp_number(rest, 10000000);
	media->clock_hz = number > 0 ? (uint32_t)number : 0;
	slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
	if (slash)
		number = sdp_number(
			(struct sdp_text){ slash + 1, rest.n - (size_t)(slash - rest.p) - 1 }, 255);
	media->channels = slash && number > 0 ? (uint8_t)number : 1;
}

static bool sdp_read_static(struct sdp_media *media, uint8_t type)
{
	for (size_t i = 0; i < ARRAY_LENGTH(static_types); i++) {
		if (static_types[i].payload_type != type)
			continue;
		snprintf(media->encoding, sizeof(media->encoding), "%s", static_types[i].encoding);
		media->clock_hz = static_types[i].clock_hz;
		media->channels = static_types[i].channels;
		return true;
	}
	return false;
}

static bool sdp_lists_type(const struct sdp_parse *parse, size_t media, uint8_t type)
{
	return memchr(parse->types[media], type, TYPES) != NULL;
}

/* The rtpmap or fmtp of a payload type: under its own media line, else one that is misplaced. */
static const struct sdp_map *sdp_find_map(
	const struct sdp_parse *parse, size_t media, uint8_t type, bool fmtp)
{
	const struct sdp_map *misplaced = NULL;

	for (size_t i = 0; i < parse->n_maps; i++) {
		const struct sdp_map *map = &parse->maps[i];

		if (map->payload_type != type || !(fmtp ? map->fmtp : map->rtpmap).n)
			continue;
		if (map->media == media + 1)
			return map;
		if (!misplaced && (map->media == 0 || !sdp_lists_type(parse, map->media - 1, type)))
			misplaced = map;
	}
	return misplaced;
}

/* One under this media line whose payload type the line does not list: the camera miscounted. */
static const struct sdp_map *sdp_find_stray(const struct sdp_parse *parse, size_t media, bool fmtp)
{
	for (size_t i = 0; i < parse->n_maps; i++) {
		const struct sdp_map *map = &parse->maps[i];

		if (map->media == media + 1 && !sdp_lists_type(parse, media, map->payload_type) &&
			(fmtp ? map->fmtp.n && !map->rtpmap.n : map->rtpmap.n > 0))
			return map;
	}
	return NULL;
}

/* Of several payload types the first that means something; its encoding. */
static void sdp_choose_type(const struct sdp_parse *parse, size_t i, struct sdp_media *media)
{
	const uint8_t *types = parse->types[i];
	const struct sdp_map *map = NULL;

	for (size_t k = 0; k < TYPES && types[k] != NO_TYPE; k++) {
		map = sdp_find_map(parse, i, types[k], false);
		if (!map && !sdp_read_static(media, types[k]))
			continue;
		media->payload_type = types[k];
		break;
	}
	if (!map && !media->encoding[0])
		map = sdp_find_stray(parse, i, false);
	if (map)
		sdp_read_rtpmap(media, map->rtpmap);
	media->mapped_type = map ? map->payload_type : media->payload_type;
	if (media->payload_type == NO_TYPE)
		media->payload_type = media->mapped_type;
}

static void sdp_finish_media(const struct sdp_parse *parse, size_t i)
{
	struct sdp_media *media = &parse->sdp->media[i];
	const struct sdp_map *fmtp;

	media->channels = 1;
	sdp_choose_type(parse, i, media);
	fmtp = sdp_find_map(parse, i, media->payload_type, true);
	if (!fmtp)
		fmtp = sdp_find_map(parse, i, media->mapped_type, true);
	if (!fmtp)
		fmtp = sdp_find_stray(parse, i, true);
	if (fmtp)
		sdp_copy(media->fmtp, sizeof(media->fmtp), fmtp->fmtp);
	if (!media->clock_hz && media->kind == SDP_VIDEO)
		media->clock_hz = 90000;
	if (media->direction == SDP_UNSAID)
		media->direction = parse->direction;
}

int sdp_parse(struct sdp *ret, const char *p, size_t n, const char **why)
{
	struct sdp_parse parse = { .sdp = ret };
	const char *end = p + n;

	memset(ret, 0, sizeof(*ret));
	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const char *stop = lf ? lf : end;

		sdp_on_line(&parse, sdp_trim(p, (size_t)(stop - p)));
		p = lf ? lf + 1 : end;
	}
	for (size_t i = 0; i < ret->n_media; i++)
		sdp_finish_media(&parse, i);
	if (ret->n_media)
		return 0;
	*why = "the description names no media";
	return -EBADMSG;
}

static bool sdp_sends(const struct sdp *sdp, enum sdp_kind kind)
{
	for (size_t k = 0; k < sdp->n_media; k++) {
		if (sdp->media[k].kind == kind && sdp->media[k].direction != SDP_SENDONLY)
			return true;
	}
	return false;
}

static bool sdp_is_sendonly_sound(const struct sdp_media *media)
{
	return media->kind == SDP_AUDIO && media->direction == SDP_SENDONLY;
}

bool sdp_is_backchannel(const struct sdp *sdp, size_t i)
{
	return sdp_is_sendonly_sound(&sdp->media[i]) && sdp_sends(sdp, SDP_AUDIO);
}

bool sdp_is_asked_backchannel(const struct sdp *sdp, size_t i)
{
	return sdp_is_sendonly_sound(&sdp->media[i]) &&
	       (sdp_sends(sdp, SDP_AUDIO) || sdp_sends(sdp, SDP_VIDEO));
}

int sdp_fmtp_value(const char *fmtp, const char *name, char *ret, size_t size)
{
	size_t name_bytes = strlen(name);

	while (*fmtp) {
		size_t n = strcspn(fmtp, ";");
		struct sdp_text one = sdp_trim(fmtp, n);

		if (one.n > name_bytes && one.p[name_bytes] == '=' &&
			!strncasecmp(one.p, name, name_bytes)) {
			struct sdp_text value =
				sdp_trim(one.p + name_bytes + 1, one.n - name_bytes - 1);

			if (value.n >= size)
				return -1;
			sdp_copy(ret, size, value);
			return (int)value.n;
		}
		fmtp += n + (fmtp[n] == ';');
	}
	return -1;
}
