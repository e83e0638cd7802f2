/*
 * libavformat and libavdevice, loaded when the first av: source or upload opens: they bring scores of
 * libraries with them, which cost megabytes where nobody has such a thing.
 */
#include "server/media/av_library.h"

#include <dlfcn.h>
#include <pthread.h>

#include <stdbool.h>

#include <libavutil/macros.h>
#include <libavutil/mem.h>

enum {
	ALLOCATION_MOST = 256 << 20 /* a small file may claim an index of gigabytes */
};

#define AVFORMAT "libavformat.so." AV_STRINGIFY(LIBAVFORMAT_VERSION_MAJOR)
/* FFmpeg counts both alike. One that does not belong to our libavformat adds nothing to it. */
#define AVDEVICE "libavdevice.so." AV_STRINGIFY(LIBAVFORMAT_VERSION_MAJOR)

static struct av_library library;
static bool library_is_whole;

static void *library_find(void *handle, const char *name)
{
	void *found = dlsym(handle, name);

	library_is_whole = library_is_whole && found;
	return found;
}

static void library_load(void)
{
	void *handle = dlopen(AVFORMAT, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return;
	av_max_alloc(ALLOCATION_MOST);
	library_is_whole = true;
	library.alloc_context = library_find(handle, "avformat_alloc_context");
	library.open_input = library_find(handle, "avformat_open_input");
	library.find_stream_info = library_find(handle, "avformat_find_stream_info");
	library.close_input = library_find(handle, "avformat_close_input");
	library.find_input_format = library_find(handle, "av_find_input_format");
	library.read_frame = library_find(handle, "av_read_frame");
	library.io_alloc = library_find(handle, "avio_alloc_context");
	library.io_free = library_find(handle, "avio_context_free");
}

static void library_load_devices(void)
{
	void *handle = dlopen(AVDEVICE, RTLD_NOW | RTLD_LOCAL);
	void (*register_all)(void) = handle ? dlsym(handle, "avdevice_register_all") : NULL;

	if (register_all)
		register_all();
}

const struct av_library *av_library_load(const char **why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, library_load);
	*why = library_is_whole ? NULL : AVFORMAT " is not installed";
	return library_is_whole ? &library : NULL;
}

const AVInputFormat *av_library_find_device(const char *name, const char **why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const AVInputFormat *format;

	(void)pthread_once(&once, library_load_devices);
	format = library.find_input_format(name);
	*why = format ? NULL : AVDEVICE " is not installed, or has no such devices";
	return format;
}
