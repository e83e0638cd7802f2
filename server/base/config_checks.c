/* What the table of options wants of texts beyond their type. */
#include <ctype.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "server/base/config_private.h"
#include "server/base/network.h"
#include "server/base/schedule.h"
#include "server/base/scrypt.h"

enum {
	PASSWORD_BYTES = 255,
	BASE_PATH_BYTES = 100,
	SCOPE_BYTES = 63,
	SOURCE_BYTES = 2048
};

#define DAY_US (24 * 60 * 60 * INT64_C(1000000))

const char *config_check_segment(const char *text)
{
	int64_t us;

	if (config_parse_duration(text, &us) == 0 && us > 0 && DAY_US % us != 0)
		return "must divide a day: 1m, 5m, 10m, 15m, 30m, 1h";
	return NULL;
}

const char *config_check_path(const char *text)
{
	return *text ? NULL : "must name a folder";
}

const char *config_check_file(const char *text)
{
	return *text ? NULL : "must name a file";
}

const char *config_check_network(const char *text)
{
	struct network network;

	return network_parse(&network, text)
		       ? NULL
		       : "must be an address or a network, such as 127.0.0.1 or 10.0.0.0/8";
}

const char *config_check_interface(const char *text)
{
	return *text && strlen(text) < IF_NAMESIZE ? NULL : "must name an interface, such as eth0";
}

const char *config_check_scope(const char *text)
{
	return *text && strlen(text) <= SCOPE_BYTES ? NULL : "must have 1 to 63 bytes";
}

const char *config_check_ip_address(const char *text)
{
	struct network_address address;

	return network_address_parse(&address, text, strlen(text))
		       ? NULL
		       : "must be an IP address, such as 203.0.113.7";
}

/* "/nvr" or "/cameras/nvr": what may stand in front of every path as it is. */
const char *config_check_base_path(const char *text)
{
	if (strlen(text) > BASE_PATH_BYTES)
		return "is longer than 100 bytes";
	if (text[0] != '/' || !text[1])
		return "must begin with / and go on, such as /nvr";
	for (const char *p = text; *p; p++) {
		if (*p == '/' && (p[1] == '/' || p[1] == '.' || !p[1]))
			return "may not end with /, nor hold // or /.";
		if (!isalnum((unsigned char)*p) && !strchr("/-_.~", *p))
			return "may hold letters, digits, -, _, ., ~ and / only";
	}
	return NULL;
}

const char *config_check_password(const char *text)
{
	if (!*text)
		return "may not be empty";
	if (strlen(text) > PASSWORD_BYTES)
		return "is longer than 255 bytes";
	for (const char *p = text; *p; p++) {
		if (iscntrl((unsigned char)*p))
			return "holds a control character";
	}
	if (strncmp(text, "$nvrd$", strlen("$nvrd$")) == 0 && !auth_is_hash(text))
		return "is not a whole hash as nvrd --hash-password prints it";
	return scrypt_is_hash(text) ? scrypt_check_text(text) : NULL;
}

const char *config_check_app_password(const char *text)
{
	if (scrypt_is_hash(text))
		return "is kept by scrypt, which is for people's: what a program keeps can be long and random";
	return config_check_password(text);
}

/* What sources may look like; `network`: a host follows, in a URI's letters. */
static const struct {
	const char *prefix;
	bool network;
} source_schemes[] = {
	{"rtsp://",         true },
	{ "rtsps://",       true },
	{ "rtsp+http://",   true },
	{ "rtsp+https://",  true },
	{ "onvif://",       true },
	{ "onvif+https://", true },
	{ "http://",        true },
	{ "https://",       true },
	{ "av:",            false},
};

const char *config_check_pulled(const char *text)
{
	if (strcmp(text, "test:") == 0 || strcmp(text, CONFIG_SOURCE_PUBLISH) == 0)
		return NULL;
	if (strlen(text) > SOURCE_BYTES)
		return "is longer than 2048 bytes";
	for (size_t i = 0; i < ARRAY_LENGTH(source_schemes); i++) {
		size_t n = strlen(source_schemes[i].prefix);

		if (strncasecmp(text, source_schemes[i].prefix, n) != 0)
			continue;
		if (!text[n] || (source_schemes[i].network && strchr("/?#@:", text[n])))
			return source_schemes[i].network ? "names no host after ://"
							 : "names nothing after av:";
		for (; source_schemes[i].network && *text; text++) {
			if (!isgraph((unsigned char)*text))
				return "holds a blank or another byte that a URI may not have";
		}
		return NULL;
	}
	return "must begin with rtsp://, rtsps://, rtsp+http://, rtsp+https://, onvif://, "
	       "onvif+https://, http://, https:// or av:, or be test: or publish:";
}

const char *config_check_source(const char *text)
{
	return strcmp(text, CONFIG_SOURCE_UPLOAD) == 0 ? NULL : config_check_pulled(text);
}

const char *config_check_onvif(const char *text)
{
	return strncasecmp(text, "onvif", strlen("onvif")) == 0
		       ? config_check_pulled(text)
		       : "must begin with onvif:// or onvif+https://";
}

/* "sha256:" and 64 hexadecimal digits, which may stand in pairs with colons. */
const char *config_check_fingerprint(const char *text)
{
	static const char prefix[] = "sha256:";
	unsigned digits = 0;

	if (strncasecmp(text, prefix, strlen(prefix)) != 0)
		return "must begin with sha256:";
	for (const char *p = text + strlen(prefix); *p; p++) {
		if (isxdigit((unsigned char)*p))
			digits++;
		else if (*p != ':')
			return "holds something else than hexadecimal digits and colons";
	}
	return digits == 64 ? NULL : "must have 64 hexadecimal digits after sha256:";
}

const char *config_check_schedule(const char *text)
{
	struct schedule schedule;

	return schedule_parse(&schedule, text);
}

const char *config_check_multicast(const char *text)
{
	struct sockaddr_in group;

	return network_group_parse(&group, text)
		       ? NULL
		       : "must be an address from 224.0.1.0 to 239.255.255.255, and may have an even port "
			 "from 1024 to 65520, such as 239.1.2.3:5004";
}
