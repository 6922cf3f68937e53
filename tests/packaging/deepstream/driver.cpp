// Feeds a parser: reads cases from standard input and writes what it finds, a line of JSON for each.
//
// A case: width height classes threshold layers, and for each layer name type bytes numElements axes sizes..., and a line feed and
// the bytes. Bytes of -1 are a buffer that is not there.
#include "nvdsinfer_custom_impl.h"

#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>

#ifdef MASKS
typedef NvDsInferInstanceMaskInfo Object;
#else
typedef NvDsInferObjectDetectionInfo Object;
#endif

extern "C" bool NvDsInferParseSurgeon(std::vector<NvDsInferLayerInfo> const&, NvDsInferNetworkInfo const&,
    NvDsInferParseDetectionParams const&, std::vector<Object>&);

int main()
{
    NvDsInferNetworkInfo network{0, 0, 3};
    NvDsInferParseDetectionParams params{};
    float threshold = 0;
    std::size_t count = 0;
    while (std::cin >> network.width >> network.height >> params.numClassesConfigured >> threshold >> count) {
        params.perClassPreclusterThreshold.assign(params.numClassesConfigured, threshold);
        std::vector<NvDsInferLayerInfo> layers(count);
        std::vector<std::string> names(count);
        // Buffers of exactly this size each, for a sanitizer to see what is read beside them.
        std::vector<std::unique_ptr<char[]>> buffers(count);
        for (std::size_t i = 0; i < count; ++i) {
            int type = 0;
            long bytes = 0;
            NvDsInferDims& dims = layers[i].inferDims;
            std::cin >> names[i] >> type >> bytes >> dims.numElements >> dims.numDims;
            for (unsigned axis = 0; axis < dims.numDims && axis < NVDSINFER_MAX_DIMS; ++axis)
                std::cin >> dims.d[axis];
            std::cin.get();
            if (bytes >= 0) {
                buffers[i].reset(new char[static_cast<std::size_t>(bytes)]);
                std::cin.read(buffers[i].get(), bytes);
            }
            std::memcpy(&layers[i].dataType, &type, sizeof(type));
            layers[i].layerName = names[i] == "-" ? nullptr : names[i].c_str();
            layers[i].buffer = buffers[i].get();
        }
        std::vector<Object> objects;
        const bool done = NvDsInferParseSurgeon(layers, network, params, objects);
        std::printf("{\"done\": %s, \"objects\": [", done ? "true" : "false");
        for (std::size_t i = 0; i < objects.size(); ++i)
            std::printf("%s[%u, %.9g, %.9g, %.9g, %.9g, %.9g]", i ? ", " : "", objects[i].classId,
                static_cast<double>(objects[i].detectionConfidence), static_cast<double>(objects[i].left),
                static_cast<double>(objects[i].top), static_cast<double>(objects[i].width),
                static_cast<double>(objects[i].height));
        std::printf("]");
#ifdef MASKS
        std::printf(", \"masks\": [");
        for (std::size_t i = 0; i < objects.size(); ++i) {
            const Object& object = objects[i];
            std::printf("%s[%u, %u, %u", i ? ", " : "", object.mask_size, object.mask_height, object.mask_width);
            for (unsigned cell = 0; cell < object.mask_size / sizeof(float); ++cell)
                std::printf(", %.9g", static_cast<double>(object.mask[cell]));
            std::printf("]");
            delete[] object.mask;
        }
        std::printf("]");
#endif
        std::printf("}\n");
        std::fflush(stdout);
    }
}
