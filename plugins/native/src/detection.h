#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace surgeon
{

//! How a box is given.
enum class Coding : int32_t
{
    kCORNERS = 0,     //!< ymin, xmin, ymax, xmax
    kCENTRE_SIZE = 1, //!< ty, tx, th, tw against the anchor's centre and size
};

enum class Converter : int32_t
{
    kIDENTITY = 0,
    kSIGMOID = 1,
    kSOFTMAX = 2,
};

//! When something is done that concerns boxes.
enum class When : int32_t
{
    kNEVER = 0,
    kBEFORE = 1, //!< before suppression
    kAFTER = 2,
};

//! What the detection plugin computes with; its fields have these names.
struct DetectionFields
{
    int32_t classes;
    int32_t background;
    int32_t shareLocation;
    int32_t coding;
    int32_t scoreConverter;
    float scoreScale;
    float scoreThreshold;
    int32_t scoreAtLeast;
    float iouThreshold;
    float softSigma;
    int32_t classAgnostic;
    int32_t maxPerClass;
    int32_t maxTotal;
    int32_t clip;
    int32_t dropEmpty;
};

//! Columns of a detection: image, label, score, xmin, ymin, xmax, ymax.
constexpr int32_t kColumns = 7;

//! What one call reads and writes, in device memory; `T` is float or __half.
template <typename T>
struct DetectionTensors
{
    T const* encodings;   //!< [batch, anchors, 1 or classes, 4]
    T const* scores;      //!< [batch, anchors, classes]
    float const* anchors; //!< [2, anchors, 4], corners (x first) and variances, of all pictures; null for Coding::kCORNERS
    float* detections;    //!< [batch, maxTotal, kColumns]
    int32_t* counts;      //!< [batch]
};

//! Return the bytes of device memory that a call needs beside its tensors; 256-byte alignment is expected.
size_t detectionWorkspace(DetectionFields const& fields, int32_t anchors, int32_t batch);

//! Start all that the detections of a batch need on a stream; nothing waits for the host.
template <typename T>
cudaError_t detect(DetectionFields const& fields, int32_t anchors, int32_t batch, DetectionTensors<T> const& tensors,
    void* workspace, cudaStream_t stream);

} // namespace surgeon
