#include "kernels.cuh"
#include "plugin.h"

namespace surgeon
{

namespace
{

//! The tensor seen as [outer, axis, inner]: copy `size` places of the axis from `begin` on.
template <typename T>
__global__ void sliceAxis(T const* x, T* y, int64_t count, int64_t length, int64_t begin, int64_t size, int64_t inner)
{
    for (int64_t i = firstElement(); i < count; i += elementStride())
    {
        int64_t const within = i % inner;
        int64_t const place = i / inner % size;
        int64_t const outer = i / inner / size;
        y[i] = x[(outer * length + begin + place) * inner + within];
    }
}

//! A run of places of one axis.
struct Slice
{
    static constexpr char const* kName = "SurgeonSlice";

    struct Fields
    {
        int32_t axis;
        int32_t begin;
        int32_t size;
    };

    static std::vector<FieldSpec> specs()
    {
        return {{"axis", nvinfer1::PluginFieldType::kINT32}, {"begin", nvinfer1::PluginFieldType::kINT32},
            {"size", nvinfer1::PluginFieldType::kINT32}};
    }

    static Fields read(FieldReader& reader)
    {
        constexpr int32_t most = std::numeric_limits<int32_t>::max();
        Fields fields{};
        fields.axis = reader.integer("axis", 1, 7);
        fields.begin = reader.integer("begin", 0, most);
        fields.size = reader.integer("size", 1, most);
        return fields;
    }

    static std::string shape(Fields const& fields, nvinfer1::Dims const& input, nvinfer1::Dims& output)
    {
        if (fields.axis > input.nbDims)
        {
            return "the field 'axis' is " + std::to_string(fields.axis) + "; the input has axes 1 to "
                + std::to_string(input.nbDims);
        }
        auto const length = input.d[fields.axis - 1];
        if (static_cast<int64_t>(fields.begin) + fields.size > length)
        {
            return "the fields 'begin' " + std::to_string(fields.begin) + " and 'size' " + std::to_string(fields.size)
                + " leave the axis of length " + std::to_string(length);
        }
        output = input;
        output.d[fields.axis - 1] = fields.size;
        return {};
    }

    template <typename T>
    static void launch(Fields const& fields, int32_t batch, nvinfer1::Dims const& input, nvinfer1::Dims const& output,
        T const* x, T* y, cudaStream_t stream)
    {
        int64_t const count = batch * volume(output);
        sliceAxis<<<blocks(count), kThreads, 0, stream>>>(
            x, y, count, input.d[fields.axis - 1], fields.begin, fields.size, volume(input, fields.axis, input.nbDims));
    }
};

using SliceCreator = Creator<Slice>;

} // namespace

REGISTER_TENSORRT_PLUGIN(SliceCreator);

} // namespace surgeon
