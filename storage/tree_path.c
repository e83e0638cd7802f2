/* What paths of the tree mean, by their form alone, and who may see what they name. */
#include <stdio.h>
#include <string.h>

#include "storage/tree_private.h"

enum {
	TREE_CONFIG_DEPTH = 2
};

/* Whether text follows a pattern of 'd' for a digit, 's' for a sign, and itself; all of n bytes. */
static bool tree_matches(const char *text, size_t n, const char *pattern)
{
	if (strlen(pattern) != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool fits = pattern[i] == 'd'   ? text[i] >= '0' && text[i] <= '9'
			    : pattern[i] == 's' ? text[i] == '+' || text[i] == '-'
						: text[i] == pattern[i];

		if (!fits)
			return false;
	}
	return true;
}

static bool tree_is_camera(const char *name, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool alphanumeric =
			(name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9');

		if (!alphanumeric && (i == 0 || (name[i] != '_' && name[i] != '-')))
			return false;
	}
	return n > 0 && n < CAMERA_BYTES;
}

/* The bytes of a file's name before what tells two of the same name apart, and the extension. 0: it is none. */
static size_t tree_stem(const char *name, size_t n)
{
	static const char time[] = "dd-dd-ddsdddd", timelapse[] = CATALOGUE_TIMELAPSE;

	if (n > strlen(time) && tree_matches(name, strlen(time), time))
		return strlen(time);
	return strncmp(name, timelapse, strlen(timelapse)) ? 0 : strlen(timelapse);
}

/* "14-30-00+0100.mp4" and "timelapse.mp4", or with a number "timelapse_2.mp4". */
static bool tree_is_file(const char *name, size_t n)
{
	size_t stem = tree_stem(name, n), left = n - stem;

	return stem && (tree_matches(name + stem, left, ".mp4") ||
			       tree_matches(name + stem, left, "_d.mp4") ||
			       tree_matches(name + stem, left, "_dd.mp4"));
}

/* "<from>--<to>.mp4", and how. */
static bool tree_parse_clip(struct clip_wish *ret, const char *name)
{
	struct clip_range range;

	if (!clip_range_parse(&range, &name) || strncmp(name, ".mp4", 4) != 0)
		return false;
	ret->from_us = range.from_us;
	ret->to_us = range.to_us;
	ret->close_gaps = !strcmp(name + 4, "?gaps=close");
	return !name[4] || ret->close_gaps;
}

static bool tree_parse_view(struct clip_wish *ret, const char *query)
{
	static const char origin[] = "?origin=";

	if (strncmp(query, origin, strlen(origin)) != 0)
		return false;
	query += strlen(origin);
	return clip_time_parse(&ret->origin_us, &query) && !*query;
}

/* Whether it is that folder at the root, or may be something in it. */
static bool tree_is_in(const char *text, const char *folder, size_t depth)
{
	size_t n = strlen(folder);

	if (text[0] != '/' || strncmp(text + 1, folder, n) != 0)
		return false;
	text += 1 + n;
	return !*text || (*text == '/' && tree_name_path_is_fine(text + 1, depth));
}

struct tree_path tree_parse(const char *text)
{
	static const char recordings[] = "/recordings";
	struct tree_path path = { .place = PLACE_NONE, .bytes = strcspn(text, "?") };
	const char *at, *slash, *end = text + path.bytes;
	size_t n;

	if (tree_is_in(text, TREE_UPLOADS, TREE_FOLDER_DEPTH))
		path.place = PLACE_UPLOADS;
	else if (tree_is_in(text, TREE_CONFIG, TREE_CONFIG_DEPTH) ||
		 tree_is_in(text, TREE_DISCOVERED, 1))
		path.place = PLACE_CONFIG;

	if (!strcmp(text, "/"))
		path.place = PLACE_ROOT;
	else if (!strcmp(text, recordings))
		path.place = PLACE_RECORDINGS;
	if (path.place != PLACE_NONE || strncmp(text, recordings, strlen(recordings)) ||
		text[strlen(recordings)] != '/')
		return path;
	at = text + strlen(recordings) + 1;
	slash = strchrnul(at, '/');
	n = (size_t)(slash - at);
	if (!tree_is_camera(at, n))
		return path;
	memcpy(path.camera, at, n);
	if (!*slash) {
		path.place = PLACE_CAMERA;
		return path;
	}
	at = slash + 1;
	slash = strchrnul(at, '/');
	if (!*slash && tree_parse_clip(&path.wish, at)) {
		path.place = PLACE_CLIP;
		return path;
	}
	if (!tree_matches(at, (size_t)(slash - at), "dddd-dd-dd"))
		return path;
	memcpy(path.day, at, DATE_BYTES - 1);
	if (!*slash)
		path.place = PLACE_DAY;
	else if (end > slash && tree_is_file(slash + 1, (size_t)(end - slash - 1)))
		path.place = !*end                              ? PLACE_FILE
			     : tree_parse_view(&path.wish, end) ? PLACE_VIEW
								: PLACE_NONE;
	if (path.place == PLACE_VIEW && slash[1] == *CATALOGUE_TIMELAPSE)
		path.place = PLACE_NONE;
	return path;
}

bool tree_may_see(const struct tree_path *path, const char *text, const struct auth_user *user)
{
	char name[TREE_NAME_BYTES + 1];
	const char *top;

	if (path->place == PLACE_CONFIG)
		return auth_may_configure(user);
	if (path->place != PLACE_UPLOADS)
		return !path->camera[0] || auth_may_see(user, path->camera);
	if (!strcmp(text, "/" TREE_UPLOADS))
		return true;
	top = text + strlen("/" TREE_UPLOADS "/");
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(top, "/"), top);
	return auth_may_see(user, name);
}
