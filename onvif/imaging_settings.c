#include "onvif/imaging_settings.h"

#include <stddef.h>
#include <string.h>

#include "onvif/soap_message.h"
#include "onvif/soap_writer.h"

#define TT SOAP_SCHEMA_SPACE
/* When an element has to be there if what it is in is. */
#define IN_SETTINGS 1U
#define IN_OPTIONS 2U
#define ALWAYS (IN_SETTINGS | IN_OPTIONS)

enum {
	WORD_BYTES = 16
};

/* --- what is known --- */

/* In the order of the schema. In settings it is a number, a word or a group; in options a range, some of the words, or a group of these. */
struct element {
	const char *name;             /* NULL: the end */
	const char *option;           /* what it is called in options, where that is another name */
	const char *const *words;     /* NULL: it is no word */
	const struct element *inside; /* NULL: it is no group */
	unsigned needed;
};

static const char *const on_off[] = { "OFF", "ON", NULL };
static const char *const on_off_auto[] = { "ON", "OFF", "AUTO", NULL };
static const char *const auto_manual[] = { "AUTO", "MANUAL", NULL };
static const char *const priorities[] = { "LowNoise", "FrameRate", NULL };
static const char *const movements[] = { "IDLE", "MOVING", "UNKNOWN", NULL };

// clang-format off
static const struct element compensation[] = {
	{ "Mode", NULL, on_off, NULL, ALWAYS },
	{ "Level", NULL, NULL, NULL, 0 },
	{ 0 },
};

static const struct element exposure[] = {
	{ "Mode", NULL, auto_manual, NULL, ALWAYS },
	{ "Priority", NULL, priorities, NULL, 0 },
	{ "MinExposureTime", NULL, NULL, NULL, 0 },
	{ "MaxExposureTime", NULL, NULL, NULL, 0 },
	{ "MinGain", NULL, NULL, NULL, 0 },
	{ "MaxGain", NULL, NULL, NULL, 0 },
	{ "MinIris", NULL, NULL, NULL, 0 },
	{ "MaxIris", NULL, NULL, NULL, 0 },
	{ "ExposureTime", NULL, NULL, NULL, 0 },
	{ "Gain", NULL, NULL, NULL, 0 },
	{ "Iris", NULL, NULL, NULL, 0 },
	{ 0 },
};

static const struct element focus[] = {
	{ "AutoFocusMode", "AutoFocusModes", auto_manual, NULL, IN_SETTINGS },
	{ "DefaultSpeed", NULL, NULL, NULL, 0 },
	{ "NearLimit", NULL, NULL, NULL, 0 },
	{ "FarLimit", NULL, NULL, NULL, 0 },
	{ 0 },
};

static const struct element white_balance[] = {
	{ "Mode", NULL, auto_manual, NULL, ALWAYS },
	{ "CrGain", "YrGain", NULL, NULL, 0 },
	{ "CbGain", "YbGain", NULL, NULL, 0 },
	{ 0 },
};

static const struct element settings[] = {
	{ "BacklightCompensation", NULL, NULL, compensation, 0 },
	{ "Brightness", NULL, NULL, NULL, 0 },
	{ "ColorSaturation", NULL, NULL, NULL, 0 },
	{ "Contrast", NULL, NULL, NULL, 0 },
	{ "Exposure", NULL, NULL, exposure, 0 },
	{ "Focus", NULL, NULL, focus, 0 },
	{ "IrCutFilter", "IrCutFilterModes", on_off_auto, NULL, 0 },
	{ "Sharpness", NULL, NULL, NULL, 0 },
	{ "WideDynamicRange", NULL, NULL, compensation, 0 },
	{ "WhiteBalance", NULL, NULL, white_balance, 0 },
	{ 0 },
};

static const struct element absolute[] = {
	{ "Position", NULL, NULL, NULL, ALWAYS },
	{ "Speed", NULL, NULL, NULL, 0 },
	{ 0 },
};

static const struct element relative[] = {
	{ "Distance", NULL, NULL, NULL, ALWAYS },
	{ "Speed", NULL, NULL, NULL, 0 },
	{ 0 },
};

static const struct element continuous[] = {
	{ "Speed", NULL, NULL, NULL, ALWAYS },
	{ 0 },
};

static const struct element move[] = {
	{ "Absolute", NULL, NULL, absolute, 0 },
	{ "Relative", NULL, NULL, relative, 0 },
	{ "Continuous", NULL, NULL, continuous, 0 },
	{ 0 },
};

static const struct element focus_status[] = {
	{ "Position", NULL, NULL, NULL, ALWAYS },
	{ "MoveStatus", NULL, movements, NULL, ALWAYS },
	{ 0 },
};

static const struct element status[] = {
	{ "FocusStatus20", NULL, NULL, focus_status, 0 },
	{ 0 },
};

static const struct {
	const struct element *elements;
	unsigned in;
} contents[] = {
	[IMAGING_SETTINGS] = { settings, IN_SETTINGS },
	[IMAGING_OPTIONS] = { settings, IN_OPTIONS },
	[IMAGING_MOVE] = { move, IN_SETTINGS },
	[IMAGING_MOVE_OPTIONS] = { move, IN_OPTIONS },
	[IMAGING_STATUS] = { status, IN_SETTINGS },
};
// clang-format on

static const char *name_of(const struct element *element, unsigned in)
{
	return in == IN_OPTIONS && element->option ? element->option : element->name;
}

/* --- reading and writing --- */

static bool copy_number(xmlNode *to, const xmlNode *from, const char *name)
{
	double value;

	if (!soap_number(from, &value))
		return false;
	soap_add_format(to, TT, name, "%.9g", value);
	return true;
}

static bool copy_range(xmlNode *to, const xmlNode *from, const char *name)
{
	const xmlNode *least = soap_child(from, NULL, "Min"), *most = soap_child(from, NULL, "Max");
	double value;
	xmlNode *range;

	if (!soap_number(least, &value) || !soap_number(most, &value))
		return false;
	range = soap_add(to, TT, name);
	return copy_number(range, least, "Min") && copy_number(range, most, "Max");
}

static bool has_word(const xmlNode *node, const char *word)
{
	char text[WORD_BYTES];

	return soap_text(node, text, sizeof(text)) && !strcmp(text, word);
}

/* That of the element, or in options those of all of its name, once each. */
static bool copy_words(xmlNode *to, const xmlNode *from, const struct element *element, unsigned in)
{
	const xmlNode *node;
	bool found = false;

	for (const char *const *word = element->words; *word; word++) {
		node = from;
		while (node && !has_word(node, *word))
			node = in == IN_OPTIONS ? soap_next(node) : NULL;
		if (!node)
			continue;
		soap_add_text(to, TT, name_of(element, in), *word);
		found = true;
	}
	return found;
}

static bool is_whole(const xmlNode *group, const struct element *elements, unsigned in)
{
	for (; elements->name; elements++) {
		if (elements->needed & in && !soap_child(group, TT, name_of(elements, in)))
			return false;
	}
	return true;
}

static bool copy_elements(
	xmlNode *to, const xmlNode *from, const struct element *elements, unsigned in);

static bool copy_group(xmlNode *to, const xmlNode *from, const struct element *element, unsigned in)
{
	xmlNode *group = soap_add(to, TT, name_of(element, in));
	bool is_good = copy_elements(group, from, element->inside, in);

	if (is_whole(group, element->inside, in))
		return is_good;
	xmlUnlinkNode(group);
	xmlFreeNode(group);
	return false;
}

static bool copy_elements(
	xmlNode *to, const xmlNode *from, const struct element *elements, unsigned in)
{
	bool is_good = true;

	for (; elements->name; elements++) {
		const char *name = name_of(elements, in);
		const xmlNode *node = soap_child(from, NULL, name);

		if (!node)
			continue;
		if (elements->inside)
			is_good &= copy_group(to, node, elements, in);
		else if (elements->words)
			is_good &= copy_words(to, node, elements, in);
		else if (in == IN_OPTIONS)
			is_good &= copy_range(to, node, name);
		else
			is_good &= copy_number(to, node, name);
	}
	return is_good;
}

bool imaging_copy(xmlNode *to, const xmlNode *from, enum imaging_content content)
{
	return copy_elements(to, from, contents[content].elements, contents[content].in);
}
