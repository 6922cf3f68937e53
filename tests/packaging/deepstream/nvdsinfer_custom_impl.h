// What a parser of bounding boxes sees of DeepStream: the fields and types that NVIDIA's API reference lists for releases 6.0
// to 9.1, for compiling parsers without DeepStream. NEWER adds what 9.0 has more.
#pragma once

#include <vector>

extern "C" {

const unsigned NVDSINFER_MAX_DIMS = 8;

#ifdef NEWER
enum NvDsInferDataType { FLOAT, HALF, INT8, INT32, INT64, UINT8 };
#else
enum NvDsInferDataType { FLOAT, HALF, INT8, INT32 };
#endif

struct NvDsInferDims {
    unsigned int numDims;
    unsigned int d[NVDSINFER_MAX_DIMS];
    unsigned int numElements;
};

struct NvDsInferLayerInfo {
    NvDsInferDataType dataType;
    NvDsInferDims inferDims;
    int bindingIndex;
    const char* layerName;
    void* buffer;
    int isInput;
};

struct NvDsInferNetworkInfo {
    unsigned int width, height, channels;
};

struct NvDsInferObjectDetectionInfo {
    unsigned int classId;
    float left, top, width, height;
    float detectionConfidence;
#ifdef NEWER
    float rotation_angle;
#endif
};

struct NvDsInferInstanceMaskInfo {
    unsigned int classId;
    float left, top, width, height;
    float detectionConfidence;
    float* mask;
    unsigned int mask_width, mask_height, mask_size;
};

struct NvDsInferParseDetectionParams {
    unsigned int numClassesConfigured;
    std::vector<float> perClassPreclusterThreshold;
    std::vector<float> perClassPostclusterThreshold;
};

typedef bool (*NvDsInferParseCustomFunc)(std::vector<NvDsInferLayerInfo> const&, NvDsInferNetworkInfo const&,
    NvDsInferParseDetectionParams const&, std::vector<NvDsInferObjectDetectionInfo>&);

typedef bool (*NvDsInferInstanceMaskParseCustomFunc)(std::vector<NvDsInferLayerInfo> const&, NvDsInferNetworkInfo const&,
    NvDsInferParseDetectionParams const&, std::vector<NvDsInferInstanceMaskInfo>&);
}
